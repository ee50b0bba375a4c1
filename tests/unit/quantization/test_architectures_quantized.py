"""The guide's table of architectures: a quantized one scores as its restored weights do."""

import json
from dataclasses import replace

import pytest
import torch
from architecture_matrix import (
    ARCHITECTURES,
    VOCABULARY,
    WORDS,
    check_refusal,
    plain_model,
    table_of_the_guide,
    write_architecture,
)

from polylect.base import InputError
from polylect.models import LowBitLinear, load_model
from polylect.quantization import SCHEMES, CalibrationConfig, QuantizeConfig, quantize
from polylect.quantization.plan import ALONE

TABLE = table_of_the_guide()
CONFIG = QuantizeConfig(
    scheme="w4-g128-gptq",
    calibration=CalibrationConfig(
        quotas={"uniform": 1.0}, num_samples=4, sample_tokens=20, eval_samples_per_language=1
    ),
)


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


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_a_quantized_model_scores_as_its_restored_weights(name, sentences, tmp_path):
    checkpoint, cell = write_architecture(name, tmp_path / "model"), TABLE[name]["quantize"]
    try:
        result = quantize(checkpoint, CONFIG, sentences, tmp_path / "out")
    except InputError as error:
        check_refusal(cell, error)
        assert not (tmp_path / "out").exists()
        return
    quantized, plain = load_model(result.checkpoint), plain_model(checkpoint.path)
    restored = [
        (label, module)
        for label, module in quantized.named_modules()
        if isinstance(module, LowBitLinear)
    ]
    before = plain(torch.arange(3, 40)[None] % VOCABULARY, use_cache=False).logits
    for label, module in restored:
        plain.get_submodule(label).weight.copy_(module.restored)
    row = torch.arange(3, 40)[None] % VOCABULARY
    expected = plain(row, use_cache=False).logits
    found = quantized(input_ids=row, use_cache=False).logits
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
    assert float((before - expected).abs().max()) > 1e-3
    assert cell == ("in part" if result.ledger.total(ALONE) else "yes")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["BLOOM", "OPT", "GPT-OSS", "Llama 4", "Bamba", "Mamba", "RWKV"])
def test_no_scheme_ends_in_a_traceback(name, scheme, sentences, tmp_path):
    checkpoint = write_architecture(name, tmp_path / "model")
    config = replace(CONFIG, scheme=scheme)
    for number, text in enumerate((sentences, None)):
        if text is None and SCHEMES[scheme].calibrated:
            continue
        said = f"{checkpoint.path} — works"
        try:
            quantize(checkpoint, config, text, tmp_path / f"out{number}")
        except InputError as error:
            said = str(error)
        assert "\n" not in said
        assert " — " in said
        assert "partial" not in said


def test_mamba_is_quantized_but_for_the_layer_that_it_reads(sentences, tmp_path):
    checkpoint = write_architecture("Mamba", tmp_path / "model")
    config = replace(CONFIG, layers={"*.dt_proj": "none"})
    result = quantize(checkpoint, config, sentences, tmp_path / "out")
    names = {
        label.rpartition(".")[2]
        for label, module in load_model(result.checkpoint).named_modules()
        if isinstance(module, LowBitLinear)
    }
    assert names == {"in_proj", "x_proj", "out_proj"}
