"""Functions where FILE.py:function may stand: written into a file of their own."""

import ast
import builtins
import inspect
import symtable
import sys
import textwrap
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from polylect.api.tables import table_folder
from polylect.base import InputError, digest_bytes

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_SEVERAL = (tuple, list, set, frozenset)


def function_file(function: Callable[..., Any], option: str) -> str:
    """``FILE.py:function`` of a file with the source of a function and all that it names.

    What it names is written beside it: modules and what they hold as imports, numbers, texts and
    lists of them as they are now, functions of the same file with their source. So the digest of
    the file is a digest of the function, and another process can load it. What an imported module
    holds does not count, as in every file of the user's.

    Args:
        function: one with a name, written by ``def``.
        option: what errors call it.

    Raises:
        InputError: its source cannot be read, or it names something that cannot be written down.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        kind = "a lambda" if isinstance(function, FunctionType) else f"a {type(function).__name__}"
        raise InputError(f"{option} is {kind}", "write def name(prompt, answer, language): …")
    lines: dict[str, str] = {}
    _write(function, option, lines)
    data = "\n".join([_FUTURE, *lines.values(), ""]).encode("utf-8", "surrogatepass")
    # The name is a part of a file's digest, so it must not hold the place or the time.
    folder = table_folder() / digest_bytes(data)[:12]
    folder.mkdir(exist_ok=True)
    path = folder / "function.py"
    path.write_bytes(data)
    return f"{path}:{function.__name__}"


def _write(function: FunctionType, option: str, lines: dict[str, str]) -> None:
    """Add a function to the lines of a file, behind all that it names."""
    text = _source(function, option)
    lines[function.__name__] = ""  # it may name itself, or be named by what it names
    values = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    for name in sorted(_names(text)):
        if name in lines or (name not in values and hasattr(builtins, name)):
            continue
        if name not in values:
            raise InputError(
                f"{option}: {function.__name__} names {name!r}, which is not there", "define it"
            )
        _write_value(name, values[name], function, option, lines)
    del lines[function.__name__]
    lines[function.__name__] = text


def _write_value(
    name: str, value: object, function: FunctionType, option: str, lines: dict[str, str]
) -> None:
    if isinstance(value, ModuleType):
        lines[name] = f"import {value.__name__} as {name}"
    elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
        if value.__name__ != name:
            raise InputError(f"{option}: {name!r} is {value.__name__} by another name", _HINT)
        _write(value, option, lines)
    elif (place := _importable(value)) is not None:
        lines[name] = f"from {place[0]} import {place[1]} as {name}"
    elif _is_plain(value):
        lines[name] = f"{name} = {_literal(value)}"
    else:
        raise InputError(
            f"{option}: {function.__name__} names {name!r} ({type(value).__name__}), which cannot"
            " be written down",
            _HINT,
        )


_FUTURE = "from __future__ import annotations"
"""What only annotations name need not be there."""
_HINT = "put the function into a file and give 'FILE.py:function'"


def _source(function: FunctionType, option: str) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(function))
        ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        raise InputError(
            f"{option}: the source of {function.__name__!r} cannot be read", _HINT
        ) from None
    return text.rstrip("\n")


def _names(text: str) -> set[str]:
    """The names that a function's source takes from outside, its decorators' among them."""

    def outside(table: symtable.SymbolTable) -> set[str]:
        names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        return names.union(*map(outside, table.get_children()))

    top = symtable.symtable(f"{_FUTURE}\n{text}", "function", "exec")
    referenced = {
        symbol.get_name()
        for symbol in top.get_symbols()
        if symbol.is_referenced() and not symbol.is_assigned() and not symbol.is_imported()
    }
    return referenced.union(*map(outside, top.get_children()))


def _importable(value: object) -> tuple[str, str] | None:
    """Module and name from which another process can import a value; None where it cannot."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    if getattr(sys.modules.get(module), name, None) is not value:
        return None
    return module, name


def _is_plain(value: object) -> bool:
    """Whether a value is a number, a text, or several of them."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, _SEVERAL):
        return type(value) in _SEVERAL and all(map(_is_plain, value))
    return type(value) in _PLAIN


def _literal(value: object) -> str:
    """Python that gives a plain value again; equal sets give equal text."""
    if isinstance(value, dict):
        pairs = (f"{_literal(key)}: {_literal(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}([{', '.join(sorted(map(_literal, value)))}])"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(_literal, value))
        closing = ",)" if isinstance(value, tuple) and len(value) == 1 else ")"
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{closing}"
    if isinstance(value, float):
        return f"float({str(value)!r})"
    return repr(value)
