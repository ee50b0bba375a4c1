"""The options of a command, read from its dataclass: how each is typed, what it takes, its help."""

import ast
import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from polylect.base import range_of

_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
_SEVERAL = (tuple, list, set, frozenset, dict, Sequence, Mapping)
_WITHOUT_SOURCE = ("builtins", "types")
"""Modules of ``object``, and of classes made by a program, whose fields carry their help."""
_METAVARS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True)
class OptionField:
    """One option, or one positional argument.

    Attributes:
        name: as it is typed, ``--out``; what a positional argument is called, ``DIR``.
        hint: type of one value, with its range: ``int``, ``Literal["a", "b"]`` …
        metavar: what stands for a value in the help.
        help: one paragraph.
        default: of the field; ``dataclasses.MISSING`` where it must be given.
        positional: it is typed without a name.
        many: it takes several values.
        repeats: it may be typed several times.
        switch: it takes no value.
        opposite: the name that turns a switch off; empty where there is none.
    """

    name: str
    hint: Any
    metavar: str
    help: str
    default: Any
    positional: bool
    many: bool
    repeats: bool
    switch: bool
    opposite: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def kind(self) -> Any:
        """Type of one value without its range; a ``Literal`` as it is."""
        return get_args(self.hint)[0] if get_origin(self.hint) is Annotated else self.hint

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; empty where it is not a choice."""
        return tuple(map(str, _choices(self.kind)))

    @property
    def wanted(self) -> str:
        """What one value may be, in words: ``a whole number, 1 or more``."""
        if self.choices:
            return ", ".join(self.choices)
        words = _WORDS.get(self.kind, "a value")
        if words == "text" and (named := self.metavar.split(" ")[0]) != _METAVARS[str]:
            words = named.strip("[]")
        allowed = range_of(self.hint)
        if allowed is None or self.kind not in (int, float) or allowed.words == "a finite number":
            return words
        return f"{words}, {allowed.words}"


def option_fields(options: Any, prefix: str = "") -> Iterator[OptionField]:
    """The options of a dataclass and of the dataclasses in it, in order.

    The options of a dataclass inside begin with its name (``--inner.depth``) unless its name is
    empty.
    """
    hints, docs = get_type_hints(options, include_extras=True), _docs(options)
    for field in dataclasses.fields(options):
        if not field.init:
            continue
        marks, hint = _marks(hints[field.name])
        name = field.name.replace("_", "-")
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind):
            unnamed = any(getattr(mark, "name", None) == "" for mark in marks)
            yield from option_fields(kind, prefix if unnamed else f"{prefix}{name}.")
            continue
        positional = any("Positional" in repr(mark) for mark in marks)
        many = get_origin(kind) in _SEVERAL
        if many:
            kinds = {inner for inner in get_args(kind) if inner is not Ellipsis}
            hint = kinds.pop() if len(kinds) == 1 else Any
        switch = kind is bool and type(None) not in get_args(hints[field.name])
        paired = switch and not any("FlagCreatePairsOff" in repr(mark) for mark in marks)
        given = [text for mark in marks if (text := getattr(mark, "metavar", None))]
        shown = name.upper() if positional and kind in (str, Path) else _metavar(hint)
        repeats = any("UseAppendAction" in repr(mark) for mark in marks)
        shown = next(iter(given), "") or shown + (" ..." if many and not repeats else "")
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        helps = [text for mark in marks if (text := getattr(mark, "help", None))]
        yield OptionField(
            name=_place(shown, name) if positional else f"--{prefix}{name}",
            hint=hint,
            metavar=shown,
            help=next(iter(helps), "") or docs.get(field.name, ""),
            default=default,
            positional=positional,
            many=many,
            repeats=repeats,
            switch=switch,
            opposite=f"--{prefix}no-{name}" if paired else "",
        )


def option_names(options: Any) -> list[str]:
    """Every option of a command as it is typed (``--out``), in order; no positional arguments.

    A switch may have its opposite too (``--no-flag``).
    """
    return [
        name
        for field in option_fields(options)
        if not field.positional
        for name in (field.name, field.opposite)
        if name
    ]


def _place(metavar: str, name: str) -> str:
    """What a positional argument is called: ``DIR`` of ``[DIR]`` or of ``DIR [DIR ...]``."""
    return name.upper() if metavar.startswith("{") else metavar.split(" ")[0].strip("[]")


def _marks(hint: Any) -> tuple[list[Any], Any]:
    """What is written beside a type for tyro, and the type itself, with its range, without None."""
    marks: list[Any] = []
    allowed: list[Any] = []
    while get_origin(hint) is Annotated or type(None) in get_args(hint):
        inner = [part for part in get_args(hint) if part is not type(None)]
        if get_origin(hint) is Annotated:
            marks += get_args(hint)[1:]
            allowed += get_args(hint)[1:]
            hint = inner[0]
        elif get_origin(hint) in (Union, types.UnionType) and len(inner) == 1:
            hint = inner[0]
        else:
            break
    ranges = [mark for mark in allowed if range_of(Annotated[int, mark]) is not None]
    return marks, Annotated[hint, ranges[0]] if ranges else hint


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _metavar(hint: Any) -> str:
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if choices := _choices(kind):
        return "{" + ",".join(map(str, choices)) + "}"
    return _METAVARS.get(kind, "VALUE")


@lru_cache
def _docs(options: type) -> dict[str, str]:
    """The text below each field, or in the section ``Attributes`` of the docstring, by name."""
    docs: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if cls.__module__ in _WITHOUT_SOURCE:
            continue
        section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
        for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
            docs[name] = text[0].upper() + " ".join(text[1:].split())
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = getattr(tree.body[0], "body", [])
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                value = getattr(below, "value", None) if isinstance(below, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    docs[field.target.id] = " ".join(value.value.split())
    return docs
