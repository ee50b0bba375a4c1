"""Marks on the fields of options: where a value is typed, and what stands for it in the help.

The options of a verb are a frozen dataclass. Its fields are the options of the command and the
keywords of the call in Python; a field that is a dataclass is a group of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """What the type of a field does not say.

    Attributes:
        positional: it may be given without its name, in the order of the fields.
        unnamed: a group whose options are typed without the name of the group.
        metavar: what stands for a value in the help; for a group, its heading.
        keeps_commas: a comma is a part of a value, not between two.
        takes_tables: it may name a file; in Python a table may stand for it.
        names_function: it may be FILE.py:function; in Python the function itself may be given.
        leaves_out: fields of a group that are no options.
    """

    positional: bool = False
    unnamed: bool = False
    metavar: str = ""
    keeps_commas: bool = False
    takes_tables: bool = False
    names_function: bool = False
    leaves_out: tuple[str, ...] = ()


Positional = Annotated[T, Mark(positional=True)]
"""Given without its name, or with it."""
Group = Annotated[T, Mark(unnamed=True)]
"""A dataclass whose fields are options of the verb, under a heading of their own in the help."""
Switch = Annotated[bool, Mark(metavar="-")]
"""An option without a value, and without a ``--no-`` opposite."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the result goes."""

    out: Path | None = None
    """Folder for the result; it appears when complete. Default: runs/VERB-KEY, where KEY stands for
    all that decides the result, so that the same call finds it again."""
    force: Switch = False
    """Replace what --out holds, once the new result is complete."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""
