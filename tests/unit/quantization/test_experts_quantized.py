"""Quantizing a mixture: every expert is calibrated on the tokens that reach it, and no others."""

import json

import pytest
import torch
from architecture_matrix import VOCABULARY, WORDS, word_tokenizer, write_architecture
from architectures import write_uneven

from polylect.models import LowBitLinear, family_classes, load_model
from polylect.quantization import CalibrationConfig, QuantizeConfig, prepare, quantize
from polylect.quantization.gptq import gptq
from polylect.quantization.hessian import add_moments, whole
from polylect.quantization.layer import FEW, UNREACHED
from polylect.quantization.rounding import restored, scales_of

CALIBRATION = CalibrationConfig(
    quotas={"uniform": 1.0}, num_samples=6, sample_tokens=20, eval_samples_per_language=1
)
FAMILIES = ["Nexus Llama", "Nexus Qwen3", "Nexus Gemma 2", "Nexus Cohere 2"]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("sentences") / "text.jsonl"
    rows = [
        {"text": " ".join((WORDS[i:] + WORDS[:i]) * 3), "language": tag}
        for tag in ("en", "de")
        for i in [*range(6)] * 8
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def inputs_by_expert(checkpoint, ids):
    """What reaches the first matrix of every expert of the first layer, in plain passes."""
    model, kept = load_model(checkpoint), {}
    for number, expert in enumerate(model.model.layers[0].mlp.experts):
        kept[number] = []
        expert.gate_proj.register_forward_pre_hook(
            lambda _, x, number=number: kept[number].append(x[0])
        )
    with torch.no_grad():
        for row in torch.from_numpy(ids):
            model(input_ids=row[None], use_cache=False)
    size = model.config.hidden_size
    return {number: torch.cat(parts) if parts else torch.empty(0, size)
            for number, parts in kept.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "more"),
    [*((name, {}) for name in FAMILIES), ("Nexus Llama", {"passes": 2}),
     ("Nexus Gemma 2", {"chunk_tokens": 20})],
)  # fmt: skip
@torch.no_grad()
def test_an_expert_is_rounded_for_the_tokens_that_reach_it(name, more, sentences, tmp_path):
    checkpoint = write_architecture(name, tmp_path / "model")
    config = QuantizeConfig(
        scheme="w4-g128-gptq", layers={"*.0.mlp.experts.*.gate_proj": "w4-g128-gptq", "*": "none"},
        calibration=CALIBRATION, **more,
    )  # fmt: skip
    ids = prepare(checkpoint, config, sentences).calibration.rows.ids
    reached = inputs_by_expert(checkpoint, ids)
    result = quantize(checkpoint, config, sentences, tmp_path / "out")
    model = load_model(result.checkpoint)
    plain = load_model(checkpoint)
    num_compared = 0
    for number, inputs in reached.items():
        layer = model.model.layers[0].mlp.experts[number].gate_proj
        weight = plain.model.layers[0].mlp.experts[number].gate_proj.weight
        assert isinstance(layer, LowBitLinear)
        if not len(inputs):
            continue
        num_inputs = weight.shape[1]
        scale = scales_of(weight, 4, num_inputs, torch.float32)
        total = torch.zeros(num_inputs, num_inputs)
        add_moments(total, inputs)
        rounded = gptq(weight, scale, whole(total), 4, config.damping)
        same = (restored(rounded.codes, scale) - layer.restored).abs() < 1e-6
        # Sums of moments in another order may tip a code.
        assert float(same.float().mean()) > 0.99
        num_compared += 1
    assert num_compared >= 1
    events = {FEW: set(), UNREACHED: set()}
    for row in result.ledger.to_json():
        if row["event"] in events:
            events[row["event"]].add(row["where"])
    prefix = "model.layers.0.mlp.experts"
    assert events[UNREACHED] == {
        f"{prefix}.{number}.gate_proj" for number, inputs in reached.items() if not len(inputs)
    }
    assert events[FEW] == {
        f"{prefix}.{number}.gate_proj: {len(inputs):,}" for number, inputs in reached.items()
        if 0 < len(inputs) < min(ids.size, inputs.shape[1])
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["awq", "w8a8-smooth", "w4-g128-gptq", "w4", "nf4"])
@torch.no_grad()
def test_every_scheme_takes_a_mixture_with_an_expert_that_nothing_reaches(
    scheme, sentences, tmp_path
):
    config = family_classes("llama")[0](
        hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, vocab_size=VOCABULARY,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, num_experts=12, router_type="linear",
    )  # fmt: skip
    checkpoint = write_uneven(config, tmp_path / "model", word_tokenizer())
    ids = torch.arange(3, 40)[None]
    before = load_model(checkpoint)(input_ids=ids, use_cache=False).logits
    result = quantize(
        checkpoint, QuantizeConfig(scheme=scheme, calibration=CALIBRATION), sentences,
        tmp_path / "out",
    )  # fmt: skip
    model = load_model(result.checkpoint)
    after = model(input_ids=ids, use_cache=False).logits
    experts = [module for label, module in model.named_modules()
               if ".experts." in label and isinstance(module, LowBitLinear)]  # fmt: skip
    assert len(experts) == 12 * 3
    assert torch.isfinite(after).all()
    assert float((after - before).norm() / before.norm()) < 0.5
    if scheme in ("awq", "w4-g128-gptq"):
        assert result.ledger.total(UNREACHED) > 0
