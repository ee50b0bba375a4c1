"""Quantizing what transformers has: the damage is the whole model's, or the refusal is true."""

import importlib.util
import json
import math

import pytest
import tokenizers as hf_tokenizers
import torch
import transformers
from architectures import QUANTIZED, REFUSED, VOCABULARY, write_uneven
from safetensors.torch import load_file, save_file

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, TensorSpec, read_raw
from polylect.models import LowBitLinear, load_model, place_weights
from polylect.quantization import (
    CalibrationConfig,
    QuantizeConfig,
    prepare,
    quantize,
    read_calibration,
)
from polylect.text import Tokenizer

WORDS = {"en": "the house is small and white", "de": "das Haus ist klein und alt"}
CALIBRATION = CalibrationConfig(
    quotas={"uniform": 1.0}, num_samples=4, sample_tokens=20, eval_samples_per_language=1
)
CONFIG = QuantizeConfig(scheme="w4-g128-gptq", calibration=CALIBRATION)


@pytest.fixture(scope="module")
def words():
    names = ["<unk>", "<s>", "</s>", *" ".join(WORDS.values()).split()]
    model = hf_tokenizers.models.WordLevel({name: i for i, name in enumerate(names)}, "<unk>")
    backend = hf_tokenizers.Tokenizer(model)
    backend.pre_tokenizer = hf_tokenizers.pre_tokenizers.Whitespace()
    return Tokenizer(backend, {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("sentences") / "text.jsonl"
    rows = [
        {"text": " ".join((text.split()[i:] + text.split()[:i]) * 3), "language": tag}
        for tag, text in WORDS.items()
        for i in [*range(6)] * 8
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@torch.no_grad()
def reference_bits(checkpoint, artifact, ids):
    """Divergence of each row in bits: whole models, float64, each quantized weight put back."""
    full = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint.path, attn_implementation="eager", experts_implementation="eager"
    ).eval()
    try:
        full.double()(ids)
    except RuntimeError:  # XGLM writes the least float64 into a float
        full.float()
    before = full(ids).logits.double().log_softmax(-1)
    low_bit = [
        (name, module)
        for name, module in load_model(artifact).named_modules()
        if isinstance(module, LowBitLinear)
    ]
    assert low_bit
    for name, module in low_bit:
        full.get_submodule(name).weight.copy_(module.restored)
    after = full(ids).logits.double().log_softmax(-1)
    return ((before.exp() * (before - after)).sum(-1).mean(-1) / math.log(2)).tolist()


@pytest.mark.parametrize("name", QUANTIZED)
def test_the_damage_is_that_of_whole_models_and_the_artifact_opens(
    name, words, sentences, tmp_path
):
    checkpoint = write_uneven(QUANTIZED[name](), tmp_path / "model", words)
    found = quantize(checkpoint, CONFIG, sentences, tmp_path / "out")
    rows = read_calibration(sentences, words, CALIBRATION, 64, Ledger()).measured
    ids = torch.from_numpy(rows.ids)
    bits = reference_bits(checkpoint, found.checkpoint, ids)
    measured = {damage.language: damage.divergence for damage in found.damage}
    for tag, expected in zip(rows.languages, bits, strict=True):
        assert expected > 1e-6
        assert measured[tag] == pytest.approx(expected, rel=2e-3, abs=1e-6)
    if importlib.util.find_spec("compressed_tensors") is None:
        pytest.skip("compressed_tensors is not installed")
    plain = transformers.AutoModelForCausalLM.from_pretrained(found.checkpoint.path).eval()
    with torch.no_grad():
        expected = torch.cat([load_model(found.checkpoint)(row[None]).logits for row in ids])
        torch.testing.assert_close(plain(ids).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_quantized_is_refused_in_one_true_line(name, words, sentences, tmp_path):
    build, reason = REFUSED[name]
    checkpoint = write_uneven(build(), tmp_path / "model", words)
    with pytest.raises(InputError, match=reason) as caught:
        quantize(checkpoint, CONFIG, sentences, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_weight_that_no_tensor_holds_is_named_before_anything_is_read(words, tmp_path):
    for name, lost in (
        ("GPT-NeoX", "embed_out.weight"),
        ("LFM2", "model.embedding_norm.weight"),
        ("Llama", "model.norm.weight"),
    ):
        folder = tmp_path / name
        write_uneven(QUANTIZED[name](), folder, words)
        tensors = load_file(folder / "model.safetensors")
        del tensors[lost]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        shown = lost.replace("embed_out", "lm_head")
        with pytest.raises(InputError, match=f"tensor '{shown}' is missing"):
            prepare(Checkpoint.open(folder), QuantizeConfig(scheme="w8"), None)


def test_an_artifact_that_lost_a_weight_does_not_open(words, tmp_path):
    checkpoint = write_uneven(QUANTIZED["Llama"](), tmp_path / "model", words)
    found = quantize(checkpoint, QuantizeConfig(scheme="w8"), None, tmp_path / "out")
    file = next(found.checkpoint.path.glob("*.safetensors"))
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"tensor 'model.norm.weight' is missing"):
        load_model(Checkpoint.open(found.checkpoint.path))


@pytest.mark.parametrize("name", ["GPT-NeoX", "OPT", "LFM2"])
def test_weights_are_placed_by_their_names_in_the_module(name, words, tmp_path):
    checkpoint = write_uneven(QUANTIZED[name](), tmp_path / "model", words)
    model = load_model(checkpoint)
    ids = torch.arange(8)[None] % VOCABULARY
    with torch.no_grad():
        expected = model(ids).logits
        for parameter in model.parameters():
            parameter.zero_()
    place_weights(
        model,
        ((TensorSpec(key, info.dtype, info.shape), read_raw(info))
         for key, info in checkpoint.tensors.items()),
    )  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, expected)
