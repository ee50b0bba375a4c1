"""A mixture in an architecture that others serve: logits equal, or one true reason why not."""

import numpy as np
import pytest
import torch
from expert_models import FAMILIES, SHAPE, tokenizer, write_model
from transformers import AutoModelForCausalLM, LlamaConfig

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.experts import Domains, UpcycleConfig, export, prepare_export, upcycle
from polylect.models import register_nexus

IDS = torch.tensor([[1, 17, 44, 5, 201, 99, 23, 7], [1, 3, 3, 150, 12, 60, 61, 62]])


def mixture_of(folder, family, router="nexus", top_k=1, dtype=torch.float32, num=3):
    seed, *experts = [
        write_model(folder / f"m{number}", family, number, dtype) for number in range(num + 1)
    ]
    vectors = np.random.default_rng(0).standard_normal((num, 12)).astype(np.float32) * 4
    config = UpcycleConfig(router=router, top_k=top_k)
    domains = Domains(vectors, ())
    return upcycle(config, seed, experts, folder / "moe", domains=domains).checkpoint


def logits_of(checkpoint):
    register_nexus(checkpoint.config)
    model, info = AutoModelForCausalLM.from_pretrained(
        checkpoint.path, dtype="auto", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        return model.eval()(IDS).logits.double()


@pytest.mark.parametrize("family", ["llama", "llama-tied", "mistral", "qwen2"])
@pytest.mark.parametrize(("router", "top_k"), [("nexus", 1), ("nexus", 2), ("linear", 3)])
def test_qwen2_moe_gives_the_same_logits(family, router, top_k, tmp_path):
    mixture = mixture_of(tmp_path, family, router, top_k)
    served = export(mixture, tmp_path / "served").checkpoint
    assert served.config["architectures"] == ["Qwen2MoeForCausalLM"]
    ours, theirs = logits_of(mixture), logits_of(served)
    assert (ours - theirs).abs().max() <= 1e-5 * ours.abs().max()
    assert len(logits_of(mixture).unique()) > 100
    served.verify()
    assert served.lineage.parents[0].digest == mixture.digest


def test_rotary_scales_and_head_sizes_are_kept(tmp_path, monkeypatch):
    rope = {
        "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 4,
    }  # fmt: skip
    monkeypatch.setitem(
        FAMILIES, "llama",
        lambda v: LlamaConfig(**SHAPE, vocab_size=v, head_dim=10, rope_parameters=rope),
    )  # fmt: skip
    mixture = mixture_of(tmp_path, "llama")
    ours, theirs = logits_of(mixture), logits_of(export(mixture, tmp_path / "served").checkpoint)
    assert (ours - theirs).abs().max() <= 1e-5 * ours.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_differ_by_their_rounding_alone(dtype, tmp_path):
    mixture = mixture_of(tmp_path, "llama", dtype=dtype)
    served = export(mixture, tmp_path / "served").checkpoint
    ours, theirs = logits_of(mixture), logits_of(served)
    assert (ours - theirs).abs().mean() <= 0.02 * ours.abs().mean()


def test_cohere2_moe_carries_a_mixture_of_which_every_expert_is_taken(tmp_path):
    mixture = mixture_of(tmp_path, "cohere2", top_k=3)
    served = export(mixture, tmp_path / "served").checkpoint
    assert served.config["architectures"] == ["Cohere2MoeForCausalLM"]
    ours, theirs = logits_of(mixture), logits_of(served)
    assert (ours - theirs).abs().max() <= 1e-5 * ours.abs().max()


REASONS = {
    "qwen3": "qwen2_moe has no norms of queries and keys",
    "gemma": "neither scales embeddings nor multiplies by 1 . w",
    "gemma2": "caps no logits",
    "gemma3_text": "none of queries and keys",
    "cohere": "cohere2_moe has the sliding windows",
    "cohere2": "cohere2_moe renormalizes its top-k.*upcycle with --experts-per-token 3",
    "llama-biased": "attention_bias in config.json is True",
}


@pytest.mark.parametrize("family", REASONS)
def test_what_nothing_carries_is_said_in_one_line(family, tmp_path):
    mixture = mixture_of(tmp_path, family)
    with pytest.raises(InputError, match=REASONS[family]) as caught:
        export(mixture, tmp_path / "served")
    assert "import polylect.models.nexus_families" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "served").exists()


def test_sliding_windows_and_other_routers_are_refused(tmp_path, monkeypatch):
    from transformers import MistralConfig

    for router in ("mlp", "oracle"):
        mixture = mixture_of(tmp_path / router, "llama", router)
        with pytest.raises(InputError, match=f"the {router} router is no row per expert"):
            prepare_export(mixture)
    monkeypatch.setitem(
        FAMILIES, "mistral", lambda v: MistralConfig(**SHAPE, vocab_size=v, sliding_window=16)
    )
    mixture = mixture_of(tmp_path / "slides", "mistral")
    with pytest.raises(InputError, match=r"sliding_window in config\.json is 16"):
        prepare_export(mixture)


def test_a_doubled_weight_that_overflows_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    mixture = mixture_of(tmp_path, "llama", dtype=torch.float16)
    path = tmp_path / "moe" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.shared_expert.down_proj.weight"][2, 3] = 40_000
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"element \[2, 3\] is too large for F16 \(80000\)"):
        export(Checkpoint.open(tmp_path / "moe"), tmp_path / "served")
    assert tokenizer().vocab_size == 300
    assert mixture.path == tmp_path / "moe"
