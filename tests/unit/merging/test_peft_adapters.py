"""Adapters as peft saves them, by what it can train: merged as peft does it, or refused."""

import json
import re
import warnings
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, read_floats
from polylect.merging.lora import apply_adapter
from polylect.merging.lora_reading import read_adapter

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "files.md"
SAME = "as peft merges it"
TIED, GPT2 = {"tied": True}, {"kind": "gpt2"}

CASES = {
    "linear layers, some or `all-linear`": [
        {"target_modules": ["q_proj", "v_proj"]}, {"target_modules": "all-linear"},
        {"target_modules": r".*layers\.0\..*proj"},
        {"target_modules": "all-linear", "exclude_modules": ["up_proj"]},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    ],
    "the embedding or the head, with the layer that peft saves beside": [
        {"target_modules": ["embed_tokens", "q_proj"]}, {"target_modules": ["lm_head"]},
        {"target_modules": ["lm_head", "embed_tokens"]}, GPT2 | {"target_modules": ["wpe"]},
        GPT2 | {"target_modules": ["wte"]},
    ],
    "the embedding or the head of a model that ties them": [
        TIED | {"target_modules": ["embed_tokens"]}, TIED | {"target_modules": ["lm_head"]},
        TIED | {"target_modules": ["embed_tokens", "lm_head"]},
        TIED | {"target_modules": ["embed_tokens"], "ensure_weight_tying": True},
        TIED | GPT2 | {"target_modules": ["wte"]},
    ],
    "GPT-2's Conv1D (`fan_in_fan_out`)": [
        GPT2 | {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True},
        GPT2 | {"target_modules": ["c_attn", "c_proj"]},
        GPT2 | {"target_modules": ["attn.c_proj", "lm_head"]},
    ],
    "whole modules (`modules_to_save`)": [
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
    ],
    "whole modules of a model that ties them: it is untied where they differ": [
        TIED | {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
        TIED | {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        TIED | {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        TIED | {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"],
                "ensure_weight_tying": True},
    ],
    "single tokens (`trainable_token_indices`)": [
        {"target_modules": ["q_proj"], "trainable_token_indices": [7, 1, 5]},
        {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [1, 5]}},
        {"target_modules": ["q_proj"],
         "trainable_token_indices": {"embed_tokens": [1, 5], "lm_head": [2]}},
        TIED | {"target_modules": ["q_proj"], "trainable_token_indices": [1, 5]},
    ],
    "DoRA (`use_dora`)": [
        {"target_modules": ["q_proj", "down_proj"], "use_dora": True},
        {"target_modules": ["embed_tokens"], "use_dora": True},
        GPT2 | {"target_modules": ["c_attn", "c_proj"], "use_dora": True},
    ],
    "`use_rslora`, `rank_pattern`, `alpha_pattern`": [
        {"target_modules": ["q_proj"], "use_rslora": True},
        {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj": 2},
         "alpha_pattern": {"layers.1.self_attn.v_proj": 7}},
    ],
    "biases (`bias`, `lora_bias`)": [
        {"target_modules": ["q_proj"], "bias": "all"},
        {"target_modules": ["q_proj"], "bias": "lora_only"},
        {"target_modules": ["q_proj"], "lora_bias": True},
    ],
    "other starts (`gaussian`, `orthogonal`)": [
        {"target_modules": ["q_proj"], "init_lora_weights": "gaussian"},
        {"target_modules": ["q_proj"], "init_lora_weights": "orthogonal"},
    ],
    "starts that change the base (PiSSA, OLoRA)": [
        {"target_modules": ["q_proj"], "init_lora_weights": "pissa"},
        {"target_modules": ["q_proj"], "init_lora_weights": "olora"},
    ],
    "experts in one tensor (`target_parameters`)": [
        {"kind": "mixtral", "target_modules": ["q_proj"],
         "target_parameters": ["mlp.experts.gate_up_proj"]},
    ],
    "replicated layers (`layer_replication`)": [
        {"target_modules": ["q_proj"], "layer_replication": [(0, 2), (1, 2)]},
    ],
    "other kinds (IA³, LoHa, LoKr, VeRA, AdaLoRA)": [
        {"config": "IA3Config", "target_modules": ["q_proj"], "feedforward_modules": []},
        {"config": "LoHaConfig", "target_modules": ["q_proj"]},
        {"config": "LoKrConfig", "target_modules": ["q_proj"]},
        {"config": "VeraConfig", "target_modules": ["q_proj"]},
        {"config": "AdaLoraConfig", "target_modules": ["q_proj"], "total_step": 9},
    ],
    "prompts": [{"config": "PromptTuningConfig", "num_virtual_tokens": 3}],
}  # fmt: skip


def rows_of(heading):
    text = GUIDE.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {
        cells[0].strip(): cells[1].strip()
        for line in lines[1:]
        if (cells := line.strip("| ").split(" | "))
    }


ROWS = rows_of("Adapters by what peft can train")
FLAT = [(name, number) for name, cases in CASES.items() for number in range(len(cases))]


def test_the_table_has_every_case():
    assert list(ROWS) == list(CASES)


def base_of(folder, kind="llama", tied=False):
    """A random model of two layers; square and other matrices, with biases."""
    torch.manual_seed(0)
    common = {"vocab_size": 40, "tie_word_embeddings": tied}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **common)
    else:
        common |= {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                   "num_attention_heads": 2, "num_key_value_heads": 1}  # fmt: skip
        if kind == "mixtral":
            config = transformers.MixtralConfig(num_local_experts=2, **common)
        else:
            config = transformers.LlamaConfig(attention_bias=True, **common)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def adapter_of(folder, base, options):
    """An adapter that peft made of random numbers and saved."""
    options = {"task_type": "CAUSAL_LM", **options}
    kind = getattr(peft, options.pop("config", "LoraConfig"))
    if kind is peft.LoraConfig:
        options |= {"r": 4, "lora_alpha": 6}
    model = peft.get_peft_model(load(base), kind(**options))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return folder


def split(case):
    options = dict(case)
    return {k: options.pop(k) for k in ("kind", "tied") if k in options}, options


def arrays(checkpoint):
    return {n: torch.tensor(read_floats(i).reshape(i.shape)) for n, i in checkpoint.tensors.items()}


@pytest.mark.parametrize(("name", "number"), FLAT, ids=lambda part: re.sub(r"\W+", " ", str(part)))
def test_an_adapter_is_merged_as_peft_does_it_or_refused(name, number, tmp_path):
    of_base, options = split(CASES[name][number])
    base = base_of(tmp_path / "base", **of_base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = adapter_of(tmp_path / "adapter", base, options)
    checkpoint = Checkpoint.open(base)
    if ROWS[name] != SAME:
        with pytest.raises(InputError) as caught:
            read_adapter(folder, checkpoint)
        message = str(caught.value)
        assert "\n" not in message
        assert f"{ROWS[name].removeprefix('refused: ')}" in message
        return
    merged = apply_adapter(checkpoint, read_adapter(folder, checkpoint), tmp_path / "out")
    live = peft.PeftModel.from_pretrained(load(base), folder).eval()
    ids = torch.arange(24)[None]
    with torch.no_grad():
        expected = live(ids).logits
        assert torch.allclose(load(merged.path)(ids).logits, expected, atol=1e-4)
    live.merge_and_unload().save_pretrained(tmp_path / "peft")
    theirs, ours = load_file(tmp_path / "peft" / "model.safetensors"), arrays(merged)
    assert theirs.keys() == ours.keys()
    for tensor, values in theirs.items():
        assert torch.allclose(ours[tensor], values, atol=1e-5), tensor
    config = json.loads((tmp_path / "peft" / "config.json").read_text())
    assert merged.config["tie_word_embeddings"] == config["tie_word_embeddings"]


def test_the_hint_for_a_tied_head_can_be_followed(tmp_path):
    base = base_of(tmp_path / "base", tied=True)
    folder = adapter_of(tmp_path / "adapter", base, {"target_modules": ["lm_head"]})
    tensors = load_file(base / "model.safetensors")
    head = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text()) | {"tie_word_embeddings": False}
    (base / "config.json").write_text(json.dumps(config))
    checkpoint = Checkpoint.open(base)
    merged = apply_adapter(checkpoint, read_adapter(folder, checkpoint), tmp_path / "out")
    live = peft.PeftModel.from_pretrained(load(base), folder).eval()
    ids = torch.arange(24)[None]
    with torch.no_grad():
        assert torch.allclose(load(merged.path)(ids).logits, live(ids).logits, atol=1e-4)


def test_names_on_disk_without_their_prefix_are_found(tmp_path):
    """GPT-2 as it was published: ``h.0…`` where the module is ``transformer.h.0…``."""
    base = base_of(tmp_path / "base", "gpt2", tied=True)
    folder = adapter_of(tmp_path / "adapter", base, {"target_modules": ["c_attn"]})
    whole = apply_adapter(
        Checkpoint.open(base), read_adapter(folder, Checkpoint.open(base)), tmp_path / "whole"
    )
    bare = {name.removeprefix("transformer."): value
            for name, value in load_file(base / "model.safetensors").items()}  # fmt: skip
    save_file(bare, base / "model.safetensors", {"format": "pt"})
    checkpoint = Checkpoint.open(base)
    merged = apply_adapter(checkpoint, read_adapter(folder, checkpoint), tmp_path / "out")
    expected = {name.removeprefix("transformer."): value for name, value in arrays(whole).items()}
    assert all(torch.equal(value, expected[name]) for name, value in arrays(merged).items())


def test_a_grown_vocabulary_is_refused_with_what_to_do(tmp_path):
    base = base_of(tmp_path / "base")
    grown = load(base)
    grown.resize_token_embeddings(44)
    grown.save_pretrained(tmp_path / "grown")
    options = {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}
    folder = adapter_of(tmp_path / "adapter", tmp_path / "grown", options)
    with pytest.raises(InputError, match=r"was its vocabulary grown\? .*embeddings\(44\)"):
        read_adapter(folder, Checkpoint.open(base))
    read_adapter(folder, Checkpoint.open(tmp_path / "grown"))
