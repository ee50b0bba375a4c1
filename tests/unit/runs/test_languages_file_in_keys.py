"""A file of languages, and an identifier's function, decide the keys of the steps that use them."""

import json

import pytest

from polylect.base import use_languages_file
from polylect.feedback import AnswersConfig
from polylect.mixtures import CollectConfig, collect_text
from polylect.recipes.pretraining.comparisons import compare_pretraining
from polylect.runs import Call
from polylect.training import ExamplesConfig, OnlineConfig, pretrain


@pytest.fixture(autouse=True)
def no_languages_file(monkeypatch):
    monkeypatch.setenv("POLYLECT_LANGUAGES", "")


@pytest.mark.parametrize(
    ("step", "is_used"), [(collect_text, True), (compare_pretraining, True), (pretrain, False)]
)
def test_a_file_of_languages_enters_the_keys_of_what_uses_it(step, is_used, tmp_path):
    keys = [Call(step, "a", {}, {}).key]
    for script in ("Latn", "Nkoo"):
        file = tmp_path / "languages.json"
        file.write_text(json.dumps({"x-mine": {"script": script}}), encoding="utf-8")
        use_languages_file(file)
        keys.append(Call(step, "a", {}, {}).key)
    assert len(set(keys)) == (3 if is_used else 1)


@pytest.mark.parametrize(
    "config_of",
    [
        lambda name: CollectConfig(identifier=name),
        lambda name: AnswersConfig(name="a", identifier=name),
        lambda name: OnlineConfig(examples=ExamplesConfig(identifier=name)),
    ],
)
def test_the_content_of_an_identifiers_function_decides_the_key(config_of, tmp_path):
    file = tmp_path / "own.py"
    keys = []
    for tag in ("cy", "gl"):
        file.write_text(f"def guess(texts): return ['{tag}'] * len(texts)\n", encoding="utf-8")
        keys.append(Call(collect_text, "a", config_of(f"{file}:guess"), {}).key)
    assert len(set(keys)) == 2
