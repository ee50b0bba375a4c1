"""The guide's table of architectures: a quantized one scores as its restored weights do."""

import json
import re
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
from polylect.quantization import SCHEMES, CalibrationConfig, QuantizeConfig, prepare, quantize
from polylect.quantization.initialization import leave_out
from polylect.quantization.plan import ALONE
from polylect.quantization.stream import LayerStream

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


ODD = ("BLOOM", "OPT", "GPT-OSS", "Llama 4", "Bamba", "Mamba", "RWKV")
# Every scheme with two architectures or more, every architecture with three schemes.
MET = [
    (name, scheme)
    for row, name in enumerate(ODD)
    for column, scheme in enumerate(SCHEMES)
    if (column - 3 * row) % len(SCHEMES) < 3
]


@pytest.mark.parametrize(("name", "scheme"), MET)
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


@pytest.mark.parametrize("name", ["GPT-BigCode", "Mamba", "Mamba 2"])
@torch.no_grad()
def test_what_transformers_could_not_open_is_refused_and_opens_where_the_hint_is_followed(
    name, tmp_path
):
    pytest.importorskip("compressed_tensors")
    checkpoint, config = write_architecture(name, tmp_path / "model"), QuantizeConfig(scheme="w8")
    with pytest.raises(InputError, match="transformers could not open it quantized") as caught:
        prepare(checkpoint, config, None)
    layers = dict(re.findall(r"'([^' ]+)=(none)'", caught.value.hint))
    result = quantize(checkpoint, replace(config, layers=layers), None, tmp_path / "out")
    row = torch.arange(3, 40)[None] % VOCABULARY
    expected = load_model(result.checkpoint)(input_ids=row, use_cache=False).logits
    opened = plain_model(result.checkpoint.path)(row, use_cache=False).logits
    torch.testing.assert_close(opened, expected, rtol=1e-4, atol=1e-4)
    assert all(pattern.startswith("*.") for pattern in layers)


def test_the_option_that_leaves_layers_keeps_the_patterns_that_still_decide():
    linear = ["h.0.mlp.out", "h.0.attention.out", "h.1.mlp.out", "h.1.mlp.in"]
    given = {"*.mlp.*": "w4", "h.0.mlp.out": "w8"}
    hint = leave_out({"h.0.mlp.out", "h.1.mlp.out"}, given, linear)
    assert hint == "--layers '*.mlp.out=none' '*.mlp.*=w4' leaves it as it is"
    assert "try w8a8" in leave_out(linear, {}, linear)


def test_linear_layers_of_a_class_of_their_own_are_named_as_not_quantized(tmp_path):
    stream = LayerStream(write_architecture("Falcon", tmp_path / "model"))
    names = {name.rpartition(".")[2] for name in stream.outside_linear()}
    assert names == {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h", "lm_head"}
