"""How a command finishes: its result appears whole in ``--out``, and is found again there."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polylect.runs import Artifact, Call, Input, StepContext

_NOT_SETTINGS = {"out", "force", "dry_run"}


def command_call(
    command: str,
    version: int,
    options: Any,
    inputs: Mapping[str, "Input"],
    write: Callable[["StepContext"], None],
    *,
    leave_out: Sequence[str] = (),
) -> "Call":
    """A command as a step: its options are the configuration, its files the inputs.

    Args:
        command: its name.
        version: raised when the same options give other results.
        options: what was typed, a dataclass with ``out``.
        inputs: files and folders that the result depends on, by what a message calls them.
        write: writes the result into ``context.out``.
        leave_out: options that name an input, or do not change the result.
    """
    from polylect.runs import Call, Step

    skipped = _NOT_SETTINGS.union(leave_out)
    settings = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.name not in skipped
    }
    step = Step(f"polylect {command}", version, lambda config, inputs, context: write(context))
    return Call(step, options.out.name, settings, inputs)


def finish(
    call: "Call",
    out: Path,
    *,
    force: bool,
    watchers: Sequence[Callable[[int, Mapping[str, Any]], None]] = (),
) -> "Artifact":
    """The result of a call at ``--out``; says so when the same result is there already.

    Args:
        call: what is to be done.
        out: the folder.
        force: do it whatever lies there; see ``execute_into``.
        watchers: are handed what a training measures.

    Raises:
        InputError: the folder holds something else, and ``force`` is not set.
    """
    from polylect.runs import TaskReporter, display, execute_into, finished_at

    if finished_at(call, out, force=force) is not None:
        say_already_there(out)
    with display() as shown:
        task = call.step.name.rpartition(".")[2].removeprefix("polylect ")
        tables = [lambda _, row: shown.languages(row.get("by_language", {}))]
        report = TaskReporter(task, shown.handle, [*tables, *watchers])
        return execute_into(call, out, report, force=force)


def file_in(path: Path, name: str) -> Path:
    """The file of that name in a result folder, or the file that was given itself."""
    return path / name if path.is_dir() else path


def say_already_there(out: Path) -> None:
    """Tell the user, on standard error, that nothing had to be done."""
    sys.stderr.write(f"polylect: {out}: this result is there already\n")


def print_lines(lines: Iterable[object]) -> None:
    """Write the lines of a result to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
