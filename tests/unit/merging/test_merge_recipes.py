"""mergekit's recipe files beside mergekit 0.1.5: equal where parity is claimed, else refused."""

import base64
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, read_floats, read_raw, to_floats
from polylect.cli import main
from polylect.merging import merge, plan_merge, read_recipe

GOLDEN = Path(__file__).parents[2] / "golden" / "mergekit_recipes.json"
EPSILON = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 2.0**-21}  # F32: sums in another order
NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def _made():
    spec = importlib.util.spec_from_file_location("made", GOLDEN.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = _made()
RESULTS = json.loads(GOLDEN.read_text())["recipes"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    MADE.make_models(folder)
    return folder


@pytest.fixture(autouse=True)
def _same_draws(monkeypatch):
    def kept(stack, seed, model, start, stop, keep):
        return MADE.kept(start, stop)

    monkeypatch.setattr("polylect.merging.operators.sparsity.bernoulli_mask", kept)


def of(*kinds):
    names = [name for name, (kind, _, _) in MADE.RECIPES.items() if kind in kinds]
    assert names
    return pytest.mark.parametrize("name", names)


def recipe_of(root, name):
    path = root / f"{name}.yml"
    path.write_text(MADE.text_of(*MADE.RECIPES[name][1:]))
    return path


def merged_by_both(root, tmp_path, name, *, parity):
    """Every tensor of our merge and of mergekit's: name, dtype, bytes, bytes."""
    recipe = read_recipe(recipe_of(root, name), parity=parity)
    models = {label: Checkpoint.open(path) for label, path in recipe.models.items()}
    merged = merge(recipe.config, models, tmp_path / "out").checkpoint
    result = RESULTS[name]
    raw = np.frombuffer(base64.b64decode(result["merged"]), np.uint8)
    dtype, start = NAMES[result["dtype"]], 0
    for tensor in MADE.shapes():
        info = merged.tensors[tensor]
        assert info.dtype == dtype
        actual = read_raw(info, 0, info.num_elements).copy()
        yield tensor, dtype, actual, raw[start : start + actual.size]
        start += actual.size
    assert start == raw.size


def deltas_of(recipe, tensor):
    """Differences from the base: float32 [models, elements]."""
    values = {
        label: read_floats(info, out=np.empty(info.num_elements, np.float32))
        for label, path in recipe.models.items()
        for info in [Checkpoint.open(path).tensors[tensor]]
    }
    base = values.pop(recipe.config.base)
    return np.array([model - base for model in values.values()])


def at_tie(recipe, tensor):
    """Elements whose difference from the base has the magnitude of another one's."""
    sizes = np.abs(deltas_of(recipe, tensor))
    return (sizes[:, :, None] == sizes[:, None, :]).sum(axis=2).max(axis=0) > 1


def undecided(recipe, tensor, dtype):
    """Elements whose elected sign is decided by rounding to a dtype."""
    models = {label: Checkpoint.open(path) for label, path in recipe.models.items()}
    weight = plan_merge(recipe.config, models).options(tensor)["weight"]
    weighted = deltas_of(recipe, tensor) * np.array(weight)[:, None]
    return np.abs(weighted.sum(axis=0)) <= 2 * EPSILON[dtype] * np.abs(weighted).sum(axis=0)


def test_there_are_thirty_recipes_and_more():
    assert set(RESULTS) == set(MADE.RECIPES)
    assert sum(kind != "refused" for kind, _, _ in MADE.RECIPES.values()) >= 30


@of("always", "bits")
def test_the_bits_are_mergekits(root, tmp_path, name):
    for parity in (True, False) if MADE.RECIPES[name][0] == "always" else (True,):
        out = tmp_path / str(parity)
        out.mkdir()
        for tensor, _, actual, expected in merged_by_both(root, out, name, parity=parity):
            assert np.array_equal(actual, expected), tensor


@of("trimmed")
def test_the_bits_are_mergekits_but_at_ties(root, tmp_path, name):
    recipe = read_recipe(recipe_of(root, name))
    for tensor, dtype, actual, expected in merged_by_both(root, tmp_path, name, parity=True):
        width = {"BF16": 2, "F16": 2, "F32": 4}[dtype]
        differs = (actual.reshape(-1, width) != expected.reshape(-1, width)).any(axis=1)
        assert not (differs & ~at_tie(recipe, tensor)).any(), tensor


@of("close", "drawn")
def test_parity_within_two_roundings(root, tmp_path, name):
    for tensor, dtype, actual, expected in merged_by_both(root, tmp_path, name, parity=True):
        ours, theirs = to_floats(actual, dtype), to_floats(expected, dtype)
        bound = 2 * EPSILON[dtype] * np.abs(theirs).max()
        assert np.abs(ours - theirs).max() <= bound, tensor


@of("always", "bits", "trimmed", "close", "drawn")
def test_without_parity_only_roundings_differ(root, tmp_path, name):
    recipe = read_recipe(recipe_of(root, name))
    for tensor, dtype, actual, expected in merged_by_both(root, tmp_path, name, parity=False):
        ours, theirs = to_floats(actual, dtype), to_floats(expected, dtype)
        far = np.abs(ours - theirs) > 4 * EPSILON[dtype] * np.abs(theirs).max()
        if MADE.RECIPES[name][0] == "trimmed":
            far &= ~at_tie(recipe, tensor)
        if far.any() and ("ties" in recipe.config.method or recipe.config.method == "della"):
            far &= ~undecided(recipe, tensor, dtype)
        assert not far.any(), tensor


@of("refused")
def test_what_cannot_be_mergekits_is_refused_by_the_plan(root, name, capsys):
    def plan():
        recipe = read_recipe(recipe_of(root, name), parity=True)
        plan_merge(
            recipe.config, {label: Checkpoint.open(path) for label, path in recipe.models.items()}
        )

    with pytest.raises(InputError):
        plan()
    command = ["merge", str(recipe_of(root, name)), "--parity", "--dry-run"]
    assert main([*command, "--out", str(root / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_mergekit_refuses_is_refused():
    for name, result in RESULTS.items():
        if result.get("refused"):
            assert MADE.RECIPES[name][0] == "refused", name


def test_defaults_of_a_recipe_are_mergekits(root):
    # mergekit 0.1.5: rescale is true (by L1) in dare_* and della*, everything else as ours.
    for method in ("dare_ties", "dare_linear", "della", "della_linear"):
        path = root / "default.yml"
        head = f"merge_method: {method}\nbase_model: b0"
        path.write_text(MADE.text_of(head, [("b1", 1)]))
        assert read_recipe(path).config.options == {"rescale": "l1"}
        path.write_text(MADE.text_of(head + "\nparameters: {rescale: false}", [("b1", 1)]))
        assert read_recipe(path).config.options == {"rescale": "none"}


def test_what_mergekit_ignores_is_said(root):
    path = root / "ignored.yml"
    head = "merge_method: ties\nbase_model: b0"
    path.write_text(MADE.text_of(head, [("b0", 3), ("b1", {"weight": 1, "lambda": 2})]))
    rows = list(read_recipe(path).ledger.rows())
    assert rows == [
        ("ignored, as by mergekit: lambda of one model", "b1", 1),
        ("ignored, as by mergekit: weight of one model", "b0", 1),
    ]
