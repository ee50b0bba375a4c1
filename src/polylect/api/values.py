"""Options from what was given: typed words, or keywords in Python."""

import dataclasses
import os
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from polylect.api.option_fields import (
    OptionField,
    field_default,
    field_kind,
    option_fields,
)
from polylect.base import InputError, check_settings, did_you_mean

T = TypeVar("T")


class _Tree(dict[str, Any]):
    """Values of a dataclass by field; those of a group inside are a tree again."""


def build(options: type[T], values: Mapping[tuple[str, ...], Any]) -> T:
    """The options with these values, by the path of each, and the defaults of the others.

    Raises:
        InputError: a value is out of its range, or two do not fit each other.
    """
    tree = _Tree()
    for path, value in values.items():
        inner = tree
        for name in path[:-1]:
            inner = inner.setdefault(name, _Tree())
        inner[path[-1]] = value
    made = _made(options, tree, dataclasses.MISSING)
    _check(made)
    return made


def _made(options: type[T], tree: _Tree, default: Any) -> T:
    """A dataclass with these values; the others are those of ``default``, or their defaults."""
    given = dict(tree)
    for field in dataclasses.fields(options):  # pyrefly: ignore[bad-argument-type]
        if isinstance(tree.get(field.name), _Tree):
            inner = field_default(field, default)
            kind = field_kind(options, field.name) if inner is dataclasses.MISSING else type(inner)
            given[field.name] = _made(kind, tree[field.name], inner)
    return (
        options(**given)
        if default is dataclasses.MISSING
        else dataclasses.replace(default, **given)
    )


def from_keywords(
    options: type[T], keywords: Mapping[str, Any], verb: str, base: T | None = None
) -> T:
    """The options of a call in Python.

    Args:
        options: the dataclass.
        keywords: values by name. A path may be text, a result or a table; text is no number.
        verb: what messages call the call.
        base: where the other values come from; None: their defaults.

    Raises:
        InputError: an unknown keyword (the nearest is named), a missing or wrong value.
    """
    fields = {field.key: field for field in option_fields(options)}
    values: dict[tuple[str, ...], Any] = {}
    if base is not None:
        values |= {field.path: _at(base, field.path) for field in fields.values()}
    for key, value in keywords.items():
        if key in fields:
            values[fields[key].path] = _value(fields[key], value)
        else:
            hint = did_you_mean(key, fields) or f"help(polylect.{verb}) lists them"
            raise InputError(f"{verb}: no option {key!r}", hint)
    missing = [
        field.key for field in fields.values() if field.required and field.path not in values
    ]
    if missing:
        raise InputError(f"{verb}: {' and '.join(missing)} missing", f"give {missing[0]}=…")
    return build(options, values)


def from_words(field: OptionField, words: list[str]) -> Any:
    """The value of an option from the words that were typed for it.

    Raises:
        InputError: a word is of a wrong kind.
    """
    if not field.many:
        return _parsed(field, words[-1])
    if not field.keeps_commas and field.kind is not Path:
        given, words = words, [x.strip() for word in words for x in word.split(",") if x.strip()]
        if not words:
            wanted = field.metavar.split(" ")[0] if field.pairs else field.wanted
            raise InputError(f"{field.label} is {given[0]!r}", f"give {wanted}")
    if not field.pairs:
        return tuple(_parsed(field, word) for word in words)
    from polylect.base import parse_pairs

    form = field.metavar.split(" ")[0]
    pairs = parse_pairs(field.name.removeprefix("--"), words, form)
    return {name: _parsed(field, word) for name, word in pairs.items()}


def _at(options: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        options = getattr(options, name)
    return options


def _check(options: Any) -> None:
    """Refuse values out of their ranges, also in the groups inside."""
    check_settings(options)
    for field in dataclasses.fields(options):
        inner = getattr(options, field.name)
        if dataclasses.is_dataclass(inner):
            _check(inner)


def _value(field: OptionField, value: Any) -> Any:
    """A Python value as the option's type has it."""
    if value is None:
        if field.optional:
            return None
        raise InputError(
            f"{field.label} is None",
            f"give {field.wanted}" + ("" if field.required else ", or leave it out"),
        )
    if field.pairs:
        if not isinstance(value, Mapping):
            raise InputError(f"{field.name} is {_short(value)}", "give a dict")
        return {str(name): _scalar(field, inner) for name, inner in value.items()}
    if not field.many:
        return _scalar(field, value)
    if field.takes_tables and _is_table(value):
        return (_scalar(field, value),)
    if isinstance(value, Mapping):
        if "=" not in field.metavar and "NAME=" not in field.help:
            raise InputError(f"{field.name} is {_short(value)}", "give a list")
        return tuple(f"{name}={_joined(inner)}" for name, inner in value.items())
    if isinstance(value, str) and not field.keeps_commas and field.kind is not Path:
        return from_words(field, [value])
    if isinstance(value, str | os.PathLike | int | float) or not isinstance(value, Iterable):
        return (_scalar(field, value),)
    if field.kind is Path:
        from polylect.api.tables import is_table

        if is_table(value):  # one table, not a path per row or column
            return (_scalar(field, value),)
    return tuple(_scalar(field, inner) for inner in value)


def _is_table(value: Any) -> bool:
    from polylect.api.tables import is_table

    return not isinstance(value, str | os.PathLike) and is_table(value)


def _joined(value: Any) -> str:
    """A value of a pair as it is typed: several with commas between them."""
    is_several = isinstance(value, Iterable) and not isinstance(value, str | os.PathLike)
    return ",".join(map(os.fspath, value)) if is_several else str(value)


def _scalar(field: OptionField, value: Any) -> Any:
    kind = field.kind
    if kind is Path:
        from polylect.api.tables import is_table, table_file

        if is_table(value):
            return table_file(value, field.key)
        if isinstance(value, str) and not value.strip():
            raise InputError(f"{field.name} is {value!r}", "give a path")  # it would be "."
        if isinstance(value, str | os.PathLike):
            return Path(value)
        raise InputError(
            f"{field.name} is {_short(value)}", "give a path, a table or a list of rows"
        )
    if field.takes_tables and _is_table(value):
        from polylect.api.tables import table_file

        return str(table_file(value, field.key))
    if field.names_function and callable(value) and not isinstance(value, os.PathLike):
        from polylect.api.functions import function_file

        return function_file(value, field.name)
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if kind is str and isinstance(value, Mapping) and "=" in field.metavar and len(value) == 1:
        return "".join(f"{name}={_joined(inner)}" for name, inner in value.items())
    if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(value, str):
        return _parsed(field, value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hasattr(value, "item") and kind in (int, float, bool) and not getattr(value, "shape", ()):
        value = value.item()  # a scalar of numpy or torch
    if kind in (str, bool) and not isinstance(value, kind):
        wanted = "True or False" if kind is bool else field.wanted
        raise InputError(f"{field.name} is {_short(value)}", f"give {wanted}")
    return value


def _parsed(field: OptionField, word: str) -> Any:
    """A typed word as a value.

    Raises:
        InputError: it is of a wrong kind.
    """
    kind, shown = field.kind, repr(word if len(word) <= 60 else word[:57] + "...")
    if choices := get_args(kind) if field.choices else ():
        for choice in choices:
            if word == str(choice):
                return choice
        near = did_you_mean(word, field.choices)
        hint = f"{near} allowed are {field.wanted}" if near else f"choose {field.wanted}"
        raise InputError(f"{field.label} is {shown}", hint)
    if kind is Path and not word.strip():
        raise InputError(f"{field.label} is {shown}", "give a path")
    try:
        return _convert(kind, word)
    except ValueError:
        raise InputError(f"{field.label} is {shown}", f"give {field.wanted}") from None


_TRUTH = {"true": True, "false": False}


def _convert(kind: Any, word: str) -> Any:
    """A word as a value of a type.

    Raises:
        ValueError: it is none.
    """
    if get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            if part is not type(None):
                try:
                    return _convert(part, word)
                except ValueError:
                    continue
        raise ValueError(word)
    if kind is bool:
        if word.lower() not in _TRUTH:
            raise ValueError(word)
        return _TRUTH[word.lower()]
    if kind in (int, float, str, Path):
        return kind(word)
    if isinstance(kind, type) and issubclass(kind, Enum):
        for member in kind:
            if word in (str(member.value), member.name):
                return member
        raise ValueError(word)
    from pydantic import TypeAdapter, ValidationError

    # Only types of a user's own recipe.
    try:
        return TypeAdapter(kind).validate_python(word)
    except ValidationError as error:
        raise ValueError(word) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
