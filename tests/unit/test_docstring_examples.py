"""The examples in docstrings do what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import polylect

FOLDER = Path(polylect.__file__).parent
MODULES = sorted(
    ".".join(("polylect", *path.relative_to(FOLDER).with_suffix("").parts))
    for path in FOLDER.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


def test_there_are_examples():
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures, examples = doctest.testmod(importlib.import_module(name))
    assert failures == 0
    assert examples > 0
