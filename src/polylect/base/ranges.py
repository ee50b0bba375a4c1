"""Ranges of settings, written beside a dataclass's fields and checked when it is made.

A range is metadata of a type, ``Annotated[float, Range(0, 1)]``: pydantic and digests do not
see it. Whether settings fit each other (a schedule and its objective) is not known here: that stays
in the ``__post_init__`` of their dataclass, after ``check_settings``.
"""

import enum
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from polylect.base.decoding import did_you_mean
from polylect.base.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a setting may have; without limits, every finite one.

    NaN is in no range. Infinity is in a range only if it is one of the limits.

    Attributes:
        at_least: smallest value.
        at_most: largest value.
        above: the value is larger than this.
        below: the value is smaller than this.

    >>> Range(0, 1).words, Range(above=0).words, 0 in Range(above=0)
    ('0 to 1', 'more than 0', False)
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        """Whether a number is in the range."""
        if not math.isfinite(value) and value not in (self.at_least, self.at_most):
            return False
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @property
    def words(self) -> str:
        """The range in words, such as ``1 or more``."""
        least, most = _number(self.at_least), _number(self.at_most)
        if least and most and most != "inf":
            return f"{least} to {most}"
        low = f"{least} or more" if least else f"more than {_number(self.above)}"
        low = low if least or self.above is not None else ""
        high = f"less than {_number(self.below)}" if self.below is not None else ""
        high = f"at most {most}" if most and most != "inf" else high
        return f"{low} and {high}" if low and high else low or high or "a finite number"


ANY = Range()
"""No limits: any finite number."""

Share = Annotated[float, Range(0, 1)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(0)]
Finite = Annotated[float, ANY]
Count = Annotated[int, Range(1)]
"""At least 1."""
CountOrZero = Annotated[int, Range(0)]
Threads = Annotated[int, Range(1, 1024)]
"""Of a CPU; the system refuses many more, in the middle of a run."""
NumSamples = Annotated[int, Range(1, 100_000)]
"""Answers to one prompt; a place is kept for each."""
Seed = Annotated[int, ANY]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Marks a setting of several texts that may hold commas: none separates two of them."""


@dataclass(frozen=True, slots=True)
class NamesFunction:
    """Marks a text that may be ``FILE.py:function``: in Python the function itself may stand."""


def check_settings(config: object) -> None:
    """Refuse a dataclass with a value that its field's type or range does not allow.

    Elements of sequences and values of mappings are checked one by one; dataclasses inside check
    themselves. ``None`` is allowed where the type names it. An int is a float; a bool is no number.

    Args:
        config: an instance of a dataclass whose numeric fields carry a ``Range``.

    Raises:
        InputError: names the first such field as an option, its value, and what is allowed.
    """
    for name, hint in _hints(type(config)).items():
        check_value(f"--{name.replace('_', '-')}", getattr(config, name), hint)


def check_value(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that a type, with its range, does not allow; see ``check_settings``.

    Args:
        name: what the value is called in the error.
        value: any.
        hint: a type; other annotations than those of settings allow every value.

    Raises:
        InputError: names the value and what is allowed.
    """
    _check(name, value, hint, ANY)


def check_once(names: Sequence[object], option: str) -> None:
    """Refuse a list in which something is twice.

    Args:
        names: what was given.
        option: that it was given to, e.g. ``--cells``.

    Raises:
        InputError: names the first that is there again.
    """
    again = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if again is not None:
        shown = f"{again:g}" if isinstance(again, float) else str(again)
        raise InputError(f"{option}: {shown} is given twice", "give each once")


def range_of(hint: Any) -> Range | None:
    """The range that a type carries, anywhere inside; None without one."""
    if get_origin(hint) is Annotated:
        for mark in get_args(hint)[1:]:
            if isinstance(mark, Range):
                return mark
    return next(filter(None, map(range_of, get_args(hint))), None)


def named_functions(config: "DataclassInstance") -> dict[str, tuple[Path, str]]:
    """File and function of every setting that is ``FILE.py:function``, by name.

    Args:
        config: an instance of a dataclass; what is inside its values is not looked at.
    """
    functions = {}
    for name in (field.name for field in fields(config)):
        value = getattr(config, name)
        file, _, function = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        if not file.endswith(".py"):
            continue
        hint = _hints(type(config))[name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        if any(isinstance(mark, NamesFunction) for mark in marks):
            functions[name] = (Path(file), function)
    return functions


@lru_cache
def _hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _check(name: str, value: Any, hint: Any, allowed: Range) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        allowed = next((mark for mark in arguments[1:] if isinstance(mark, Range)), allowed)
        _check(name, value, arguments[0], allowed)
    elif origin in (Union, types.UnionType):
        _check_union(name, value, arguments, allowed)
    elif origin is Literal:
        if not any(value == known and type(value) is type(known) for known in arguments):
            raise _unknown(name, value, arguments)
    elif origin is tuple and arguments[-1] is not Ellipsis:
        if not isinstance(value, tuple | list) or len(value) != len(arguments):
            raise _refuse(name, value, f"{len(arguments)} values")
        for number, (element, inner) in enumerate(zip(value, arguments, strict=True), start=1):
            _check(f"{name} {number}", element, inner, allowed)
    elif origin in (tuple, list, Sequence):
        if not isinstance(value, tuple | list):
            raise _refuse(name, value, "a list")
        for number, element in enumerate(value, start=1):
            _check(f"{name} {number}", element, arguments[0], allowed)
    elif origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _refuse(name, value, "values by name")
        for key, element in value.items():
            _check(f"{name} {key}", element, arguments[1], allowed)
    elif isinstance(hint, type):
        _check_scalar(name, value, hint, allowed)


def _check_union(name: str, value: Any, hints: Sequence[Any], allowed: Range) -> None:
    """Refuse a value that fits none of several types, with the error of the last."""
    if value is None and type(None) in hints:
        return
    errors = []
    for hint in (hint for hint in hints if hint is not type(None)):
        try:
            _check(name, value, hint, allowed)
        except InputError as error:
            errors.append(error)
        else:
            return
    raise errors[-1]


def _check_scalar(name: str, value: Any, kind: type, allowed: Range) -> None:
    if kind in (int, float):
        words = "a whole number" if kind is int else "a number"
        if not _is_number(value, kind):
            raise _refuse(name, value, words if allowed == ANY else f"{words}, {allowed.words}")
        if value not in allowed:
            is_open = allowed != ANY and allowed.at_most is None and allowed.below is None
            must_be_finite = is_open and not math.isfinite(value)
            words = f"a finite number, {allowed.words}" if must_be_finite else allowed.words
            raise _refuse(name, value, words)
    elif kind is bool and not isinstance(value, bool):
        raise _refuse(name, value, "true or false")
    elif kind is str and not isinstance(value, str):
        raise _refuse(name, value, "text")
    elif issubclass(kind, enum.Enum) and not isinstance(value, kind):
        raise _unknown(name, value, [member.value for member in kind])
    elif issubclass(kind, PurePath) and not isinstance(value, PurePath | str):
        raise _refuse(name, value, "a path")
    elif is_dataclass(kind) and not isinstance(value, kind):
        raise _refuse(name, value, f"an instance of {kind.__name__}")


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number of a kind, numpy's included; a bool is none."""
    return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)


def _refuse(name: str, value: Any, words: str) -> InputError:
    shown = str(value) if isinstance(value, Real) else repr(value)
    return InputError(f"{name} is {shown if len(shown) <= 60 else shown[:57] + '...'}",
                      f"give {words}")  # fmt: skip


def _unknown(name: str, value: Any, known: Sequence[Any]) -> InputError:
    names = list(map(str, known))
    hint = did_you_mean(str(value), names) or f"choose {', '.join(names)}"
    return InputError(f"{name} is {value!r}", hint)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
