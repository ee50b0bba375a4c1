"""JSON text to values, with everything refused that JSON or UTF-8 cannot hold.

Python's reader takes NaN, numbers too large for a float, keys given twice (the last wins) and half
characters, which no file can be written with again.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from polylect.base.errors import InputError

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half of a surrogate pair."""
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HUGE = re.compile(r"[0-9][eE]\+?[0-9]{3}|[0-9]{300}")
"""A number that may be too large for a float."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(text: str, where: str, *, constants: bool = False, lines: bool = False) -> Any:
    """The value in JSON text.

    Args:
        text: one value.
        where: file, or file and line; every error message begins with it.
        constants: accept NaN and Infinity, which some programs write.
        lines: the text is a whole file: add the line to ``where``.

    Raises:
        InputError: not JSON, a key given twice, a number that is not finite, or half a character;
            names the key or the column.
    """
    met: list[str] = []

    def constant(name: str) -> float:
        met.append(name)
        return float(name)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            name = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{where}: {name!a} is there twice", "keep one of them")
        return result

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}" if lines else where
        raise InputError(
            f"{place}: not JSON ({error.msg} at column {error.colno})", "mend or remove the line"
        ) from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
        raise InputError(f"{where}: not JSON ({reason})", "mend or remove the line") from None
    if _HALF.search(text) or ((met or _HUGE.search(text)) and not constants):
        where = f"{where}:{_line_of_half(text)}" if lines else where
        for name, inner in _leaves(value, ""):
            what = f"{where}: {name!a}" if name else where
            if isinstance(inner, float) and not math.isfinite(inner) and not constants:
                raise InputError(f"{what} is {inner}, which JSON has not", "write null, or a value")
            check_leaf(inner, what, finite=False)
    return value


def whole_text(text: str) -> str:
    r"""The text with U+FFFD, the replacement character, for every half character.

    >>> whole_text("a\ud83d"), whole_text("\ud83d\ude00") == chr(0x1F600)
    ('a�', True)
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_leaf(value: object, what: str, *, finite: bool = True) -> None:
    """Refuse a text with half a character, or a number that is not finite.

    Args:
        value: any; other kinds pass.
        what: its place and name; the message begins with it.
        finite: refuse NaN and infinity.

    Raises:
        InputError: the value is one of them.
    """
    if isinstance(value, str) and (half := _SURROGATE.search(value)):
        raise InputError(
            f"{what} has half a character (\\u{ord(half[0]):04x}, a surrogate without its pair)",
            "write the whole character, or remove it",
        )
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{what} is {value}", "give a finite number")


def _line_of_half(text: str) -> int:
    """The line of the first escape without its pair; of the first escape if all have one."""
    unpaired = _HALF.search(_PAIR.sub("x" * 12, text)) or _HALF.search(text)
    return text.count("\n", 0, unpaired.start()) + 1 if unpaired else 1


def _leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    """Every key and every value that holds no others, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield name, key
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{name}[{number}]")
    else:
        yield name, value
