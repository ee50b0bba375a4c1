"""Recipes as people write them: odd forms are read as they are meant, or are one true line."""

import re

import pytest
from test_merge_engine import make

from polylect.cli import main


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        make(tmp_path / f"m{number}", number)
    return tmp_path


SLICES = (
    "merge_method: linear\nslices:\n  - sources:\n"
    "      - {{model: m0, layer_range: {0}, parameters: {{weight: 1}}}}\n"
    "      - {{model: m1, layer_range: {1}, parameters: {{weight: 1}}}}\n"
)
MODELS = (
    "merge_method: linear\nmodels:\n  - {model: m0, parameters: {weight: 5e-1}}\n"
    "  - {model: m1, parameters: {weight: 0.5}}\n"
)
STOCK = "merge_method: model_stock\nbase_model: m0\nmodels: [{model: m1}, {model: m2}]\n"
SLERP = "merge_method: slerp\nbase_model: m0\nmodels:\n  - {model: m0}\n  - {model: m1"


def merge(root, text, capsys, *options):
    (root / "r.yml").write_text(text)
    code = main(["merge", str(root / "r.yml"), "--out", str(root / "out"), *options])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("form", [
    "4", "[0]", "[0, null]", "4.5", "[0, 4.5]", "'0-4'", "[0, 1, 2]", "{}", "[true, 2]", "[1, 2]",
    "[0, -1]", "[]",
])  # fmt: skip
def test_a_layer_range_that_is_not_all_layers_is_one_line(root, form, capsys):
    code, _, error = merge(root, SLICES.format(form, form), capsys)
    assert code == 2
    assert error.count("\n") == 1
    assert re.search(r"r\.yml: slices: m0: layer_range is .+ — give \[0, number of layers\]", error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SLICES.format("[0, 2]", "[0, 1]"), r"layer_range is \[0, 2\], \[0, 1\] — give \[0, "),
        (SLICES.format("[0, 9]", "[0, 9]"), "layer_range takes 9 layers, m0 has 2"),
        (SLICES.format("null", "null"), "m0: no layer_range"),
        (MODELS + "dtype: bfloat16\ndtype: float16\n", r"r\.yml:6: 'dtype' is given twice"),
        (MODELS.replace("0.5}", "0.5, weight: 0.2}"), r"r\.yml:4: 'weight' is given twice"),
        (MODELS + "? [a, b]\n: 3\n", "not YAML .*unhashable key"),
        (MODELS + "weight: 0.3\n", "unknown key 'weight' — put it below parameters"),
        (MODELS.replace("parameters: {weight: 0.5}", "weight: 0.5"), "unknown key 'weight' — put"),
        (MODELS.replace("5e-1", "[{filter: 5, value: 1}]"), r"weight has \{'filter': 5, 'value'"),
        (MODELS + "base_model: {model: m0}\n", r"base_model is \{'model': 'm0'\} — give a folder"),
        (MODELS + "tokenizer_source: other\n", "is 'other' — union, base, or one of the models"),
        (
            STOCK + "parameters: {filter_wise: true}\n",
            "filter_wise is True, which is not supported",
        ),
        (SLERP + ", parameters: {t: 0.5}}\n", "t is of the whole merge in slerp — put it below"),
        (SLERP + "}\n", r"slerp needs t .*--t 0\.5, or in a recipe 'parameters: \{t: 0\.5\}'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(root, text, words, capsys):
    code, _, error = merge(root, text, capsys)
    assert code == 2
    assert error.count("\n") == 1
    assert re.search(words, error), error
    assert not (root / "out").exists()


def test_numbers_with_an_exponent_and_mergekits_defaults_are_read(root, capsys):
    code, printed, _ = merge(root, MODELS, capsys)
    assert code == 0
    assert "m0  0.5" in printed
    assert merge(root, STOCK + "parameters: {filter_wise: false}\n", capsys, "--force")[0] == 0


@pytest.mark.parametrize("name", ["bfloat16", "BF16", "bf16"])
def test_types_are_read_by_each_of_their_names(root, name, capsys):
    from polylect.checkpoints import Checkpoint

    code, _, _ = merge(root, MODELS, capsys, "--out-dtype", name)
    assert code == 0
    assert {info.dtype for info in Checkpoint.open(root / "out").tensors.values()} == {"BF16"}


@pytest.mark.parametrize(
    ("weight", "filters"),
    [
        ("[{filter: self_atn, value: 1}, {value: 0.5}]", ["'self_atn'"]),
        ("[{value: 0.5}, {filter: embed, value: 1}]", ["'embed'"]),
        ("[{filter: embed, value: 1}, {value: 0.5}]", []),
    ],
)
def test_a_filter_that_decides_nothing_is_named_once(root, weight, filters, capsys):
    code, printed, _ = merge(root, MODELS.replace("5e-1", weight), capsys)
    assert code == 0
    named = [line for line in printed.splitlines() if "without effect" in line]
    assert named == [f"1 without effect: filter {name} (m0 weight)" for name in filters]
