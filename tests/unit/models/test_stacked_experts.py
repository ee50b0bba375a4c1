import importlib
import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from transformers.integrations import moe

from polylect.checkpoints import Checkpoint
from polylect.models import POLYLECT_EXPERTS, load_model, use_stacked_experts
from polylect.models.stacked_experts import is_carried

VOCAB = 40
SMALL = {
    "vocab_size": VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FOUR = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
CONFIGS = {
    "mixtral": lambda: transformers.MixtralConfig(
        **SMALL, num_local_experts=4, num_experts_per_tok=2
    ),
    "qwen2_moe": lambda: transformers.Qwen2MoeConfig(
        **SMALL, **FOUR, shared_expert_intermediate_size=20
    ),
    "qwen3_moe": lambda: transformers.Qwen3MoeConfig(**SMALL, **FOUR, head_dim=4),
    "olmoe": lambda: transformers.OlmoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2),
    "cohere2_moe": lambda: transformers.AutoConfig.for_model(
        "cohere2_moe", **SMALL, num_experts=4, num_experts_per_tok=2
    ),
    "phimoe": lambda: transformers.PhimoeConfig(**SMALL, num_local_experts=4),
    "interleaved, transposed, with bias, a gate of its own": lambda: transformers.GptOssConfig(
        **SMALL, head_dim=4, num_local_experts=4, num_experts_per_tok=2
    ),
    "sigmoid router, shared expert": lambda: transformers.DeepseekV3Config(
        **SMALL | {"num_key_value_heads": 4}, q_lora_rank=8, kv_lora_rank=8, head_dim=4,
        qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4, first_k_dense_replace=1,
        n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
        moe_intermediate_size=12,
    ),
}  # fmt: skip


def build(name):
    torch.manual_seed(0)
    config = CONFIGS[name]()
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.double().eval()


def experts_of(model):
    return [one for one in model.modules() if hasattr(one, "has_post_expert_norm")]


def run(model, implementation):
    model.set_experts_implementation(implementation)
    model.zero_grad()
    ids = torch.randint(0, VOCAB, (2, 11), generator=torch.Generator().manual_seed(1))
    logits = model(ids).logits
    logits.log_softmax(-1)[..., 3].sum().backward()
    return logits.detach(), {name: one.grad for name, one in model.named_parameters()}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_equals_transformers_own_loop(name):
    model = build(name)
    assert experts_of(model)
    assert use_stacked_experts(model)
    logits, grads = run(model, POLYLECT_EXPERTS)
    expected, expected_grads = run(model, "eager")
    assert torch.allclose(logits, expected, rtol=0, atol=1e-10)
    for key, value in expected_grads.items():
        if value is None:
            assert grads[key] is None or not grads[key].any(), key
        else:
            scale = value.abs().max().clamp(min=1)
            assert float((grads[key] - value).abs().max() / scale) < 1e-10, key


def experts_classes():
    """Modules and names of all classes of experts in transformers, read from their source."""
    found = []
    for path in sorted(Path(transformers.__file__).parent.glob("models/*/modeling_*.py")):
        source = path.read_text("utf-8")
        for match in re.finditer(r"^@use_experts_implementation.*\nclass (\w+)", source, re.M):
            found.append((f"transformers.models.{path.parent.name}.{path.stem}", match[1]))
    assert len(found) > 50
    return found


class AnyConfig:
    """A config that has every size; what it is called differs between classes."""

    hidden_act = hidden_activation = mlp_hidden_act = moe_hidden_act = "silu"
    _experts_implementation = POLYLECT_EXPERTS
    swiglu_limit, swiglu_alpha, rms_norm_eps = 0.7, 1.7, 1e-6

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if ("expert" in name and not name.endswith(("size", "dim"))) or name == "moe_num_experts":
            return 5
        if "intermediate" in name or "ffn" in name:
            return 6
        if "size" in name or "dim" in name:
            return 8
        return 3.0 if name.endswith("softcap") else None


@pytest.mark.parametrize(("module", "name"), experts_classes())
def test_every_class_of_experts(module, name):
    kind = getattr(importlib.import_module(module), name)
    torch.manual_seed(0)
    experts = kind(AnyConfig()).double()
    if experts.has_post_expert_norm:
        assert not is_carried(experts)
        return
    assert is_carried(experts)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(9, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(9, 2, dtype=torch.float64, requires_grad=True)
    index = torch.rand(9, 4).topk(2).indices  # the fifth is empty
    found = []
    for implementation in (POLYLECT_EXPERTS, "eager"):
        experts.config._experts_implementation = implementation
        x.grad = weight.grad = None
        experts.zero_grad()
        y = experts(x, index, weight)
        y.square().sum().backward()
        found.append([y.detach(), x.grad, weight.grad, *(one.grad for one in experts.parameters())])
    low = kind.__name__ in ("BeamExperts", "Inkling2Experts", "OpenAIPrivacyFilterExperts")
    for actual, expected in zip(*found, strict=True):
        scale = expected.abs().max().clamp(min=1)
        # Three compute a part in float32 on purpose.
        assert float((actual - expected).abs().max() / scale) < (1e-5 if low else 1e-10)


def test_what_is_not_carried_stays_with_transformers():
    model = build("mixtral")
    for change in ("norm", "buffer", "parameter", "type"):
        layer = experts_of(model)[1]
        if change == "norm":
            layer.has_post_expert_norm = True
        elif change == "buffer":
            layer.register_buffer("scale", torch.ones(4))
        elif change == "parameter":
            layer.act_fn = torch.nn.PReLU()
        else:
            layer.down_proj = torch.nn.Parameter(layer.down_proj.to(torch.float8_e4m3fn))
        before = model.config._experts_implementation
        assert not use_stacked_experts(model)
        assert model.config._experts_implementation == before
        model = build("mixtral")
    dense = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
    assert not use_stacked_experts(dense)


def test_tokens_without_an_expert():
    layer = experts_of(build("mixtral"))[0]
    layer.config._experts_implementation = POLYLECT_EXPERTS
    x = torch.randn(6, 16, dtype=torch.float64)
    weight = torch.rand(6, 2, dtype=torch.float64)
    index = torch.tensor([[0, 4], [4, 4], [1, 2], [4, 3], [0, 1], [2, 4]])
    actual = layer(x, index, weight)
    layer.config._experts_implementation = "eager"
    assert torch.allclose(actual, layer(x, index, weight), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "olmoe", "cohere2_moe"])
def test_a_loaded_model_uses_it_and_its_config_does_not_say_so(name, tmp_path):
    model = build(name).float()
    model.save_pretrained(tmp_path / "made")
    loaded = load_model(Checkpoint.open(tmp_path / "made"))
    assert {one.config._experts_implementation for one in experts_of(loaded)} == {POLYLECT_EXPERTS}
    ids = torch.randint(0, VOCAB, (1, 9))
    model.set_experts_implementation("eager")
    with torch.no_grad():
        assert torch.allclose(loaded(ids).logits, model(ids).logits, atol=1e-4)
    loaded.save_pretrained(tmp_path / "saved")
    assert "polylect" not in json.dumps(json.loads((tmp_path / "saved/config.json").read_text()))


def test_other_types_of_activations_than_of_weights():
    layer = experts_of(build("mixtral"))[0].bfloat16()
    layer.config._experts_implementation = POLYLECT_EXPERTS
    x, weight = torch.randn(6, 16), torch.rand(6, 2)
    index = torch.rand(6, 4).topk(2).indices
    expected = moe.grouped_mm_experts_forward(layer, x, index, weight)
    assert torch.equal(layer(x, index, weight), expected)
