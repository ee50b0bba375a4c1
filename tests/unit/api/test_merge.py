"""``merge`` and ``verify``: in Python and as commands."""

import json

import merge_methods
import numpy as np
import pytest
from align_cases import write_model
from command_line import run_verb

import polylect
from polylect.base import InputError


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"volatile.json", "log.txt"}
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merge")
    for number, name in enumerate(("base", "de", "fr")):
        write_model(folder / name, seed=number)
    return folder


def test_the_options_are_those_that_the_operators_declare():
    assert merge_methods.source() == merge_methods.FILE.read_text("utf-8")


def test_python_and_the_command_write_the_same_bytes(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    merged = polylect.merge(["de", "fr"], method="ties", base="base", density=0.5, out="m")
    run_verb("merge", "de", "fr", "--method", "ties", "--base", "base", "--density", "0.5",
             "--out", "n", "--json")  # fmt: skip
    assert files(place / "m") == files(place / "n")
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(merged.rows()))
    assert merged.table()["role"].to_list() == ["base", "model", "model"]
    assert polylect.verify(merged).table()["blocks"][0] > 0
    (row,) = [row for row in polylect.list_runs(place).rows() if row["path"].endswith("m")]
    assert row["headline"] == "ties of de, fr on base"
    record = json.loads((place / "m" / "merge.json").read_text("utf-8"))
    assert record["config"]["options"] == {"density": 0.5}
    again = polylect.merge(["de", "fr"], method="ties", base="base", density=[0.5], out="m")
    assert again.lines() == merged.lines()


def test_values_for_each_model_and_a_folder_by_default(place, monkeypatch):
    monkeypatch.chdir(place)
    options = {"method": "ties", "base": "base"}
    result = polylect.merge(["de", "fr"], **options, density=(0.5, 0.25), weights=np.ones(2))
    assert result.path.parts[0] == "runs"
    assert result.record.config.model_options == {
        "de": {"weight": 1.0, "density": 0.5}, "fr": {"weight": 1.0, "density": 0.25},
    }  # fmt: skip
    assert polylect.merge(["de", "fr"], **options, density=(0.5, 0.25), weights=[1, 1]).path == (
        result.path
    )
    other = polylect.merge(["de", "fr"], **options, density=(0.5, 0.5), weights=[1, 1])
    assert other.path != result.path


@pytest.mark.parametrize("as_place", [True, False])
def test_a_recipe_stands_in_place(place, as_place, monkeypatch):
    monkeypatch.chdir(place)
    models = [{"model": n, "parameters": {"weight": w}} for n, w in (("de", 1), ("fr", 3))]
    recipe = {"merge_method": "linear", "models": models}
    (place / "r.yaml").write_text(json.dumps(recipe))
    plan = polylect.merge(**{"models" if as_place else "recipe": "r.yaml"}, dry_run=True)
    assert [line for line in plan.lines() if "  fr  3  " in line]
    assert not (place / "merged").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": ["de", "r.yaml"]}, "merge: de beside the recipe r.yaml"),
        ({"models": ["r.yaml", "s.yml"]}, "merge: s.yml beside the recipe r.yaml"),
        ({"models": "r.yaml", "recipe": "s.yml"}, "merge: s.yml beside the recipe r.yaml"),
        ({"models": "r.yaml", "density": 0.5}, "density beside a recipe"),
        ({"models": ["de"], "recipe": "r.yaml"}, "models beside a recipe"),
        ({"models": ["de", "fr"], "density": 0.5}, "linear takes no density — it takes weights, "),
        (
            {"models": ["de", "fr"], "method": "model_stock", "t": 0.5},
            "model_stock takes no t — it takes no options",
        ),
        (
            {"models": ["de", "fr"], "method": "ties", "base": "base", "density": (0.1, 0.2, 0.3)},
            "3 values of density for 2 models — give one for each",
        ),
        ({"models": ["de"], "densty": 0.5}, "merge: no option 'densty' — did you mean density?"),
        ({"models": ["de"], "lambda": 0.5}, "merge: no option 'lambda' — did you mean lambda_?"),
        ({"models": ["de", "fr"], "density": 2}, "density 1 is 2.0 — give 0 to 1"),
        ({"models": ["de", "fr"], "density": {"de": 1}}, "density is {'de': 1} — give a list"),
        ({"models": ["de", "fr"], "method": "tie"}, "method is 'tie' — did you mean ties?"),
        ({}, "merge: no models"),
    ],
)
def test_what_does_not_fit_is_one_line(place, options, words, monkeypatch):
    monkeypatch.chdir(place)
    before = files(place)
    with pytest.raises(InputError) as caught:
        polylect.merge(**options)
    assert words in str(caught.value)
    assert files(place) == before


def test_a_dry_run_writes_nothing(place, monkeypatch):
    monkeypatch.chdir(place)
    before = files(place)
    lines = polylect.merge(["de", "fr"], dry_run=True).lines()
    assert lines[0].startswith("linear: ")
    assert lines[-1].startswith("would write into runs/merge-KEY")
    assert polylect.merge(["de", "fr"], out="x", dry_run=True).lines()[-1] == "would write into x"
    assert files(place) == before
