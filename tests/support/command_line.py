"""The command line, in a process of its own or in this one; options of a tiny lifecycle."""

import io
import subprocess
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from child_processes import COMMAND_LINE, Child

TINY = [
    "--languages", "en", "es", "de", "ru", "code",
    "--num-parameters", "300000",
    "--vocab-size", "1024",
    "--base-tokens", "12000",
    "--expert-tokens", "4000",
    "--bytes-per-language", "1500",
]  # fmt: skip


def changed(arguments: Sequence[str], more: Sequence[str]) -> list[str]:
    """The arguments without the options that ``more`` gives, and those: none may be given twice."""
    again = {argument for argument in more if argument.startswith("--")}
    kept, is_again = [], False
    for argument in arguments:
        if argument.startswith("--"):
            is_again = argument in again
        if not is_again:
            kept.append(argument)
    return [*kept, *more]


def polylect(
    *arguments: object, cwd: Path | None = None, real: bool = False
) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own, forked from one that has torch imported."""
    child = Child(COMMAND_LINE, *arguments, cwd=cwd, real=real)
    try:
        code = child.wait()
        return subprocess.CompletedProcess(child.arguments, code, child.stdout, child.stderr)
    finally:
        child.close()


def polylect_in_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line in this process: no second import of torch."""
    from polylect.cli import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run_verb(command: str, *arguments: object) -> int:
    """Exit code of a command in this process; its errors are raised, not printed."""
    from polylect.api.catalog import COMMANDS, find_call
    from polylect.cli.command import run_verb

    job = find_call(COMMANDS[command]).verb
    return run_verb(job, [str(argument) for argument in arguments])
