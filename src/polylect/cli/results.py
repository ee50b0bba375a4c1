"""How a command ends: its result appears whole in ``--out`` and is found there again."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polylect.runs import Artifact, Call, Input, StepContext

_NOT_SETTINGS = {"out", "force", "dry_run"}


def write_result(
    command: str,
    version: int,
    options: Any,
    inputs: Mapping[str, "Input"],
    write: Callable[["StepContext"], None],
    *,
    leave_out: Sequence[str] = (),
) -> "Artifact":
    """The result of a command that is one step: see ``result_call``.

    Raises:
        InputError: ``--out`` holds something else, without ``--force``.
    """
    call = result_call(command, version, options, inputs, write, leave_out=leave_out)
    return finish(call, options.out, force=options.force)


def result_call(
    command: str,
    version: int,
    options: Any,
    inputs: Mapping[str, "Input"],
    write: Callable[["StepContext"], None],
    *,
    leave_out: Sequence[str] = (),
) -> "Call":
    """The step that a command is: its options are the config of that step.

    Args:
        command: its name.
        version: raised when the same options give other results.
        options: a dataclass with ``out`` and ``force``.
        inputs: files and folders that the result depends on, by the name that messages use.
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
    """The result of a call at ``--out``; tells the user when the same result is there already.

    Args:
        call: the step to run.
        out: the result folder.
        force: run it whatever lies there; see ``execute_into``.
        watchers: called with the step number and the metrics of a training.

    Raises:
        InputError: the folder holds something else, without ``force``.
    """
    from polylect.runs import TaskReporter, display, execute_into, finished_at

    if finished_at(call, out, force=force) is not None:
        say_already_there(out)
    with display() as progress:
        task = call.step.name.rpartition(".")[2].removeprefix("polylect ")
        tables = [lambda _, row: progress.languages(row.get("by_language", {}))]
        report = TaskReporter(task, progress.handle, [*tables, *watchers])
        return execute_into(call, out, report, force=force)


def is_already_there(call: "Call", out: Path, *, force: bool) -> bool:
    """Whether the result of a call lies at ``--out``, for a dry run; tells the user so.

    Raises:
        InputError: the folder holds something else, without ``force``.
    """
    from polylect.runs import finished_at

    is_there = finished_at(call, out, force=force) is not None
    if is_there:
        say_already_there(out)
    return is_there


def file_in(path: Path, name: str) -> Path:
    """The file of that name in a result folder; a path that is not a folder stays as it is."""
    return path / name if path.is_dir() else path


def say_already_there(out: Path) -> None:
    """Tell the user on standard error that nothing had to be done."""
    sys.stderr.write(f"polylect: {out}: this result is there already\n")


def print_lines(lines: Iterable[object]) -> None:
    """Write lines to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_seconds(seconds: Mapping[str, float]) -> None:
    """Write seconds by name to standard error."""
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    sys.stderr.write(f"polylect: {parts}\n")
