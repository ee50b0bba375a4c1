"""Every dataclass of settings says which numbers it takes, and refuses others when it is made."""

import dataclasses
import importlib
import inspect
import math
import types
from pathlib import Path
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import pytest

import polylect
from polylect.base import InputError, Range

SUFFIXES = ("Config", "Settings", "Options")
OTHERS = {
    "Attack", "BestOfN", "ExampleStage", "Items", "Limits", "Mixture", "Sampling", "Server",
    "Share", "SparseGraph", "Stage", "TaskMix",
}  # fmt: skip


def _settings():
    """The dataclasses of settings by their full name."""
    source = Path(polylect.__file__).parent
    found = {}
    for path in sorted(source.rglob("*.py")):
        if path.name in {"__init__.py", "__main__.py", "_confined_child.py"}:
            continue
        parts = path.relative_to(source.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts))
        for name, value in vars(module).items():
            is_own = isinstance(value, type) and value.__module__ == module.__name__
            is_settings = name.endswith(SUFFIXES) or name in OTHERS
            if is_own and is_settings and dataclasses.is_dataclass(value):
                found[f"{module.__name__}.{name}"] = value
    return found


SETTINGS = _settings()


def _bare_numbers(hint, ranged=False):
    """The numeric types inside a type that no range covers."""
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        return _bare_numbers(kind, ranged or any(isinstance(mark, Range) for mark in marks))
    if hint in (int, float):
        return [] if ranged else [hint]
    return [bare for inner in get_args(hint) for bare in _bare_numbers(inner, ranged)]


def _is_number(hint):
    """Whether a field is one number, or None."""
    if get_origin(hint) is Annotated:
        return _is_number(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return all(_is_number(kind) or kind is type(None) for kind in get_args(hint))
    return hint in (int, float)


def test_the_known_settings_are_among_those_that_are_checked():
    names = {name.rpartition(".")[2] for name in SETTINGS}
    assert names >= OTHERS
    assert len(SETTINGS) >= 60
    for name in ("SftConfig", "QuantizeConfig", "BoardSettings", "SoupsConfig", "JudgeOptions"):
        assert name in names


@pytest.mark.parametrize("name", SETTINGS)
def test_every_number_of_a_setting_carries_its_range(name):
    hints = get_type_hints(SETTINGS[name], include_extras=True)
    assert {field: bare for field, hint in hints.items() if (bare := _bare_numbers(hint))} == {}


# Those of a verb are checked all in one place, with the groups inside: api.values.build.
BUILT = ("polylect.api.", "polylect.cli.")


@pytest.mark.parametrize("name", [name for name in SETTINGS if not name.startswith(BUILT)])
def test_settings_are_checked_when_they_are_made(name):
    cls = SETTINGS[name]
    if dataclasses.fields(cls):
        assert "check_settings(self)" in inspect.getsource(cls.__post_init__)
    required = any(
        field.default is field.default_factory is dataclasses.MISSING and field.init
        for field in dataclasses.fields(cls)
    )
    if required:
        return
    for field, hint in get_type_hints(cls, include_extras=True).items():
        if not _is_number(hint):
            continue
        for value in (math.nan, -math.inf, "3", True):
            with pytest.raises(InputError, match=f"^--{field.replace('_', '-')} is "):
                dataclasses.replace(cls(), **{field: value})
