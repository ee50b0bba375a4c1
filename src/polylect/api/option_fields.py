"""The options of a verb, read from its dataclass: how each is given, what it takes, its help."""

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

from polylect.api.fields import Mark
from polylect.base import NamesFunction, Verbatim, range_of

_WORDS = {
    int: "a whole number", float: "a number", str: "text", Path: "a path", bool: "true or false",
}  # fmt: skip
_SEVERAL = (tuple, list, set, frozenset, Sequence)
_MAPPINGS = (dict, Mapping)
_WITHOUT_SOURCE = ("builtins", "types")
"""Modules of ``object``, and of classes made by a program, whose fields carry their help."""
_METAVARS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH", bool: "{true,false}"}


@dataclass(frozen=True)
class OptionField:
    """One option of a verb.

    Attributes:
        path: the names of the fields that lead to it: its groups, then its own.
        key: its keyword in Python.
        name: as it is typed, ``--out``.
        hint: type of one value, with its range: ``int``, ``Literal["a", "b"]`` …
        metavar: what stands for a value in the help.
        help: one paragraph.
        default: ``dataclasses.MISSING`` where it must be given.
        place: what it is called as a positional argument, ``DIR``; empty for others.
        many: it takes several values.
        pairs: it takes several values by name, ``NAME=VALUE``.
        optional: it may be None.
        switch: it takes no value.
        opposite: the name that turns a switch off; empty where there is none.
        keeps_commas: a comma does not separate values.
        takes_tables: it may name a file; in Python a table may stand for it.
        names_function: it may be FILE.py:function; in Python the function itself may be given.
        group: heading of its group; empty for the verb's own options.
    """

    path: tuple[str, ...]
    key: str
    name: str
    hint: Any
    metavar: str
    help: str
    default: Any
    place: str
    many: bool
    pairs: bool
    optional: bool
    switch: bool
    opposite: str
    keeps_commas: bool
    takes_tables: bool
    names_function: bool
    group: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def label(self) -> str:
        """What messages call it: as it is mostly typed."""
        return self.place or self.name

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


def option_fields(options: type) -> list[OptionField]:
    """The options of a dataclass and of the groups in it, in order.

    The options of a named group begin with its name, ``--inner.depth``.
    """
    return list(_fields(options, (), "", "", MISSING))


def _fields(
    options: type,
    path: tuple[str, ...],
    prefix: str,
    group: str,
    instance: Any,
    leaves_out: tuple[str, ...] = (),
) -> Iterator[OptionField]:
    hints, docs = get_type_hints(options, include_extras=True), _docs(options)
    for field in dataclasses.fields(options):
        if not field.init or field.name in leaves_out:
            continue
        mark, hint, optional = _marks(hints[field.name])
        # A word that Python has taken ends with an underscore there alone.
        name, here = field.name.rstrip("_").replace("_", "-"), (*path, field.name)
        default = field_default(field, instance)
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            inner = prefix if mark.unnamed else f"{prefix}{name}."
            heading = mark.metavar
            heading = heading or (inspect.getdoc(kind) or kind.__name__).split("\n")[0].rstrip(".")
            heading = heading if mark.unnamed else group
            yield from _fields(kind, here, inner, heading, default, mark.leaves_out)
            continue
        pairs = get_origin(kind) in _MAPPINGS
        many = pairs or get_origin(kind) in _SEVERAL
        if many:
            kinds = {inner for inner in get_args(kind)[int(pairs) :] if inner is not Ellipsis}
            hint = kinds.pop() if len(kinds) == 1 else Any
        switch = kind is bool and not optional
        shown = mark.metavar.strip("-")
        if not shown:
            shown = name.upper() if mark.positional and kind in (str, Path) else _metavar(hint)
            shown = f"NAME={shown}" if pairs else shown
            shown += " ..." if many else ""
        yield OptionField(
            path=here,
            key=(prefix + field.name).replace("-", "_"),
            name=f"--{prefix}{name}",
            hint=hint,
            metavar=shown,
            help=docs.get(field.name, ""),
            default=default,
            place=_place(shown, name) if mark.positional else "",
            many=many,
            pairs=pairs,
            optional=optional,
            switch=switch,
            opposite=f"--{prefix}no-{name}" if switch and mark.metavar != "-" else "",
            keeps_commas=mark.keeps_commas,
            takes_tables=mark.takes_tables,
            names_function=mark.names_function,
            group=group,
        )


def option_names(options: type) -> list[str]:
    """Every option of a command as it is typed (``--out``), in order; no positional arguments.

    A switch may have its opposite too (``--no-flag``).
    """
    return [
        name
        for field in option_fields(options)
        if not field.place
        for name in (field.name, field.opposite)
        if name
    ]


def field_default(field: "dataclasses.Field[Any]", instance: Any) -> Any:
    """The default of a field: that of an instance of its dataclass, unless this is ``MISSING``."""
    if instance is not MISSING:
        return getattr(instance, field.name)
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def field_kind(options: type, name: str) -> type:
    """The plain type of a field."""
    hint = _marks(get_type_hints(options, include_extras=True)[name])[1]
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _place(metavar: str, name: str) -> str:
    """What a positional argument is called: ``DIR`` of ``[DIR]`` or of ``DIR [DIR ...]``."""
    return name.upper() if metavar.startswith("{") else metavar.split(" ")[0].strip("[]")


def _marks(hint: Any) -> tuple[Mark, Any, bool]:
    """The mark beside a type, the type itself, with its range, without None, and whether it had."""
    marks: list[Mark] = []
    others: list[Any] = []
    ranges: list[Any] = []
    optional = False
    while get_origin(hint) is Annotated or type(None) in get_args(hint):
        inner = [part for part in get_args(hint) if part is not type(None)]
        if get_origin(hint) is Annotated:
            marks += [part for part in get_args(hint)[1:] if isinstance(part, Mark)]
            others += get_args(hint)[1:]
            ranges += [
                part for part in get_args(hint)[1:] if range_of(Annotated[int, part]) is not None
            ]
            hint = inner[0]
            continue
        optional = True
        if get_origin(hint) not in (Union, types.UnionType) or len(inner) != 1:
            break
        hint = inner[0]
    merged = Mark(
        positional=any(mark.positional for mark in marks),
        unnamed=any(mark.unnamed for mark in marks),
        metavar=next((mark.metavar for mark in marks if mark.metavar), ""),
        keeps_commas=any(mark.keeps_commas for mark in marks)
        or any(isinstance(part, Verbatim) for part in others),
        takes_tables=any(mark.takes_tables for mark in marks),
        names_function=any(mark.names_function for mark in marks)
        or any(isinstance(part, NamesFunction) for part in others),
        leaves_out=tuple(name for mark in marks for name in mark.leaves_out),
    )
    return merged, Annotated[hint, ranges[0]] if ranges else hint, optional


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
            plain = " ".join(text.replace("``", "").split())
            docs[name] = plain[0].upper() + plain[1:]
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
