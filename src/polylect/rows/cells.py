"""Cells of a row: text, names, numbers, languages; an error names the place, column and value."""

import math
from collections.abc import Mapping
from typing import Any

from polylect.base import InputError, canonical_tag


def text_cell(row: Mapping[str, Any], name: str, place: str) -> str:
    """A text; empty without one."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: {name!r} is {value!r}", "give text, or leave it out")
    return value


def id_cell(row: Mapping[str, Any], place: str) -> str:
    """A row's id, a number too; empty without one."""
    value = row.get("id")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else text_cell(row, "id", place)


def name_cell(row: Mapping[str, Any], name: str, place: str) -> str:
    """Who somebody is: a text, or a whole number as text; empty without one.

    Raises:
        InputError: anything else, or blank text.
    """
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with a gap is read as one of floats
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: {name!r} is {value!r}", "give a name or a whole number")
    return value.strip()


def number_cell(row: Mapping[str, Any], name: str, place: str) -> float | None:
    """A finite number; None without one."""
    value = row.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise InputError(f"{place}: {name!r} is {value!r}", "give a finite number")
    return float(value)


def language_cell(
    row: Mapping[str, Any],
    place: str,
    default: str,
    hint: str = "add it to the rows, or --default-language TAG for all",
) -> str:
    """The canonical tag of a row's ``language``, or of the default."""
    tag = row.get("language") or default
    if not tag:
        problem = "missing" if row.get("language") is None else "empty"
        raise InputError(f"{place}: 'language' is {problem}", hint)
    if not isinstance(tag, str):
        raise InputError(f"{place}: 'language' is {tag!r}", "a tag such as de")
    return canonical_tag(tag, f"{place}: 'language'")


def columns_of(row: Mapping[str, Any]) -> str:
    """What a row has, for hints."""
    return f"the row has {', '.join(map(str, row)) or 'nothing'}"
