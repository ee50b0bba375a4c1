"""Options of a command: a dataclass turned into flags by tyro, with errors of one line."""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from inspect import cleandoc
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from polylect.base import InputError, check_settings, did_you_mean

T = TypeVar("T")


def parse(
    options: type[T], arguments: Sequence[str], command: str, description: str | None = None
) -> T:
    """The options of a command line; ``--help`` prints them and exits.

    Args:
        options: a dataclass with a field per option.
        arguments: what was typed after the command.
        command: its name.
        description: what ``--help`` says first; None takes the dataclass's docstring.

    Raises:
        InputError: an unknown option (the nearest is named), a missing or wrong value, or a number
            out of its range.
    """
    import tyro

    known = option_names(options)
    for argument in arguments:
        name = argument.split("=", 1)[0]
        if name == "--":
            break
        typed = name.replace("_", "-")
        if re.match(r"--?[a-zA-Z]", name) and typed not in {*known, "-h", "--help"}:
            hint = did_you_mean(typed, known) or f"polylect {command} --help"
            raise InputError(f"{command}: unknown option {name}", hint)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parsed = tyro.cli(
                options,
                prog=f"polylect {command}",
                description=cleandoc(description or options.__doc__ or ""),
                args=list(arguments),
            )
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.flush()
            raise
        message = _one_line(errors.getvalue())
        raise InputError(f"{command}: {message}", f"polylect {command} --help") from None
    _check(parsed)
    return parsed


def _check(options: Any) -> None:
    """Refuse values out of their ranges, also in the groups of options inside."""
    check_settings(options)
    for field in dataclasses.fields(options):
        group = getattr(options, field.name)
        if dataclasses.is_dataclass(group):
            _check(group)


def option_names(options: Any, prefix: str = "") -> list[str]:
    """Every option of a command as it is typed (``--out``), in order.

    The options of a nested dataclass begin with its name (``--inner.depth``) unless the name is
    empty. A switch has its opposite too (``--no-flag``). Positional arguments are left out.
    """
    names: list[str] = []
    hints = get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        kind = get_args(hint)[0] if marks else hint
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(kind):
            unnamed = any(getattr(mark, "name", None) == "" for mark in marks)
            names += option_names(kind, prefix if unnamed else f"{prefix}{name}.")
        elif not any("Positional" in repr(mark) for mark in marks):
            names.append(f"--{prefix}{name}")
            if kind is bool and not any("FlagCreatePairsOff" in repr(mark) for mark in marks):
                names.append(f"--{prefix}no-{name}")
    return names


def _one_line(text: str) -> str:
    """Tyro's boxed message as one line."""
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [re.sub(r"[│╭╮╰╯─]+", " ", line).strip() for line in bare.splitlines()]
    noise = ("For full helptext", "Parsing error", "Argument helptext", "Value error")
    useful = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(useful)[:200] or "the options could not be read"
