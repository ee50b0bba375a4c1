"""Options of a command: a dataclass turned into flags, with errors of one line."""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, TypeVar

from polylect.base import InputError, check_settings
from polylect.cli.arguments import check_arguments
from polylect.cli.help_page import help_page
from polylect.cli.option_fields import option_fields

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

    fields = list(option_fields(options))
    if {"-h", "--help"} & set(arguments):
        text = cleandoc(description or options.__doc__ or "")
        sys.stdout.write(help_page(fields, command, text))
        sys.stdout.flush()
        raise SystemExit(0)
    words = check_arguments(arguments, fields, command)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
            parsed = tyro.cli(options, prog=f"polylect {command}", args=words,
                              config=(tyro.conf.DisallowNone,))  # fmt: skip
    except SystemExit:
        # Only of types that a user's own recipe has and polylect's options have not.
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


def _one_line(text: str) -> str:
    """Tyro's boxed message as one line."""
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [re.sub(r"[│╭╮╰╯─]+", " ", line).strip() for line in bare.splitlines()]
    noise = ("For full helptext", "Parsing error", "Argument helptext", "Value error")
    useful = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(useful)[:200] or "the options could not be read"
