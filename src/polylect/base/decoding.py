"""Strict decoding of plain data into frozen dataclasses: reports all errors at once."""

import contextlib
import difflib
import json
import re
import types
from collections.abc import Collection, Iterable
from dataclasses import fields, is_dataclass
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from polylect.base.errors import InputError
from polylect.base.renamed import current_names

T = TypeVar("T")


def nearest(name: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """The most similar of ``names``, or None when none is similar.

    >>> nearest("Seeed", ["seed", "out"])
    'seed'

    Args:
        name: that was given.
        names: known ones.
        likeness: least similarity (difflib's ratio), from 0 to 1.
    """
    by_lower = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=likeness)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``did you mean X?``, or the empty string when no name is similar."""
    match = nearest(name, names)
    return f"did you mean {match}?" if match else ""


def check_known(name: str, known: Collection[str], problem: str, listed: str = "known are") -> None:
    """Refuse a name that is not one of those known.

    Args:
        name: what was given.
        known: the names that there are.
        problem: the error's first part, such as ``no scheme 'w3'``.
        listed: begins the list of names, which is shown where none of them is similar.

    Raises:
        InputError: the name is not known; suggests the nearest.
    """
    if name not in known:
        raise InputError(problem, did_you_mean(name, known) or f"{listed} {', '.join(known)}")


def decode(cls: type[T], data: object, where: str) -> T:
    """An instance of the dataclass ``cls`` from dicts, lists and scalars.

    Values are not coerced, except int to float: a string is not a number. Unknown keys are errors
    at every depth. Data with the former names of settings are decoded too.

    Args:
        cls: a dataclass; nested dataclasses are decoded too.
        data: the contents of a JSON or TOML file, or of a row.
        where: the file, or file and line; the error message begins with it.

    Raises:
        InputError: lists every wrong, missing and unknown key with its path, separated by ``; ``.
    """
    from pydantic import ValidationError

    # Through JSON: for Python objects pydantic's strict mode demands tuples and enum members.
    text = json.dumps(data, default=_plain)
    try:
        return _adapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        problems = [_problem(cls, details) for details in error.errors(include_url=False)]
    current = current_names(data)
    if current != data:
        with contextlib.suppress(InputError):
            return decode(cls, current, where)
    raise InputError(f"{where}: " + "; ".join(problems))


def _plain(value: object) -> object:
    """A value that JSON has not: a date as ISO text; others so that their type shows."""
    if isinstance(value, date):
        return value.isoformat()
    return {type(value).__name__: repr(value)}


@lru_cache
def _adapter(cls: type) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    _forbid_extra(cls, ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True))
    return TypeAdapter(cls)


def _forbid_extra(cls: Any, config: Any) -> None:
    """Set pydantic's configuration on a dataclass and on every dataclass below it."""
    if isinstance(cls, type) and is_dataclass(cls):
        if "__pydantic_config__" not in cls.__dict__:
            cls.__pydantic_config__ = config
            for hint in get_type_hints(cls).values():
                _forbid_extra(hint, config)
    elif get_origin(cls) is not None:
        for argument in get_args(cls):
            _forbid_extra(argument, config)


_OPTION = re.compile(r"--([a-z0-9-]+)((?: \S+)*) is (?=\S)")


def as_key(error: InputError, path: str = "") -> InputError:
    """The error of a setting's range with a key of a file in place of an option.

    >>> as_key(InputError("--max-epochs is 0", "give more than 0"), "streams.text").message
    "'streams.text.max_epochs' is 0"

    Args:
        error: as ``check_settings`` raises it; any other is returned as it is.
        path: of the object that has the key.
    """
    match = _OPTION.match(error.message)
    if not match:
        return error
    keys, number = [path, match[1].replace("-", "_")], ""
    for word in match[2].split():
        if word.isdecimal():  # of an element of a list, from 1
            number = f" {word}"
        else:
            keys.append(word)
    name = ".".join(filter(None, keys))
    return InputError(f"'{name}'{number} is {error.message[match.end() :]}", error.hint)


_JSON_WORDS = {None: "null", True: "true", False: "false"}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "dataclass_type": "an object",
}
"""What was wanted, by the type of pydantic's error."""


def _problem(cls: type, error: Any) -> str:
    """One line for one of pydantic's errors."""
    path = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        names = _names_at(cls, error["loc"][:-1])
        hint = did_you_mean(str(error["loc"][-1]), names) or f"known are {', '.join(names)}"
        return f"unknown key {path!r} ({hint})"
    if kind in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        return f"{path!r} is missing"
    if kind == "value_error":
        cause = error["ctx"]["error"]
        if isinstance(cause, InputError) and (keyed := as_key(cause, path)) is not cause:
            return f"{keyed.message}: {keyed.hint}"
        return f"{path}: {cause}" if path else str(cause)
    if kind in _WANTED:
        return f"{path!r} is {_short(error['input'])}: give {_WANTED[kind]}".removeprefix("'' is ")
    if kind in {"enum", "literal_error"}:
        return f"{path!r} is {_short(error['input'])}: give {error['ctx']['expected']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{path!r} is {_short(error['input'])}: {message}".removeprefix("'' is ")


def _short(value: object) -> str:
    text = _JSON_WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _names_at(cls: Any, path: tuple[Any, ...]) -> list[str]:
    """Field names of the dataclass at ``path`` below ``cls``."""
    hint = cls
    for part in path:
        if is_dataclass(hint):
            hint = get_type_hints(hint).get(str(part), hint)
        elif get_args(hint):
            hint = get_args(hint)[-1 if get_origin(hint) is dict else 0]
        if get_origin(hint) in {Union, types.UnionType}:
            hint = next(option for option in get_args(hint) if option is not type(None))
    return [field.name for field in fields(hint)] if is_dataclass(hint) else []
