"""``list_runs``, ``describe_run``, ``remove_runs``, ``open_run``: what has been run."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.api.fields import Mark, Positional, Switch
from polylect.api.results import Result
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger

if TYPE_CHECKING:
    import polars

    from polylect.runs import RunDescription, RunInfo

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ListRunsOptions:
    """List every run below some folders: done, running, failed or killed.

    'polylect runs show DIR' prints what made a run, as a command; 'polylect runs rm DIR' removes
    runs, and what failed and killed ones left.

    Examples:
        polylect runs
        polylect runs experiments --sort started
        polylect runs --filter state=failed --json
    """

    roots: Positional[Annotated[tuple[Path, ...], Mark(metavar="[DIR ...]")]] = ()
    """Folders to search, or runs. Default: the current folder."""
    sort: Literal["path", "what", "state", "started", "seconds", "num_bytes", "headline"] = "path"
    """Column to sort by; the newest, longest and largest come first."""
    filter: Annotated[Mapping[str, str], Mark(metavar="COLUMN=TEXT")] = field(default_factory=dict)
    """Show only runs with this text in this column, e.g. state=failed what=train*."""


@dataclass(frozen=True, kw_only=True)
class DescribeRunOptions:
    """Show a run: its state, the command that made it, settings, inputs and outputs.

    Examples:
        polylect runs show runs/lifecycle
        polylect runs show merged
        polylect runs show runs/lifecycle --json
    """

    path: Positional[Annotated[Path, Mark(metavar="DIR")]]
    """A run, or the folder that an unfinished one was to fill."""


@dataclass(frozen=True, kw_only=True)
class RemoveRunsOptions:
    """Remove runs, and what failed and killed ones left; asks before.

    Examples:
        polylect runs rm runs/lifecycle
        polylect runs rm runs/old runs/older --yes
        polylect runs rm runs/base --caches
    """

    paths: Positional[Annotated[tuple[Path, ...], Mark(metavar="DIR ...")]]
    """Runs to remove."""
    yes: Switch = False
    """Remove without asking."""
    caches: Switch = False
    """Remove DIR-cache too."""


class RunList(Result):
    """What has been run: a row per output, or per try to make it."""

    def __init__(self, runs: "list[RunInfo]") -> None:
        """These runs."""
        super().__init__(Path())
        self.runs = runs

    @property
    def page(self) -> None:
        """None: there is no page."""
        return

    @cached_property
    def ledger(self) -> Ledger:
        """Empty."""
        return Ledger()

    def table(self) -> "polars.DataFrame":
        """A row per run: path, what, state, step, started, seconds, headline …"""
        import polars

        return polars.DataFrame([info.to_json() for info in self.runs], infer_schema_length=None)

    def lines(self) -> list[str]:
        """A line per run."""
        head = ("run", "what", "state", "step", "started", "took", "disk", "")
        return text_table(head, list(map(_row, self.runs)), "lllrlrrl", shrink=(7, 0))


class RunView(Result):
    """One run: what made it, and what is in it."""

    def __init__(self, described: "RunDescription") -> None:
        """A run as it was described."""
        super().__init__(described.info.path)
        self.described = described

    @property
    def page(self) -> Path | None:
        """The page to look at; None where there is none."""
        return next(map(Path, self.described.pages), None)

    @property
    def command(self) -> str:
        """The command that made it, to paste into a shell; empty where it is not known."""
        return self.described.command

    @cached_property
    def ledger(self) -> Ledger:
        """What it truncated, dropped, repeated or found invalid."""
        return self.described.ledger or Ledger()

    def rows(self) -> list[dict[str, Any]]:
        """One row: everything that is known of the run."""
        return [self.described.to_json()]

    def table(self) -> "polars.DataFrame":
        """One row: path, what, state, step, started, seconds, headline …"""
        import polars

        return polars.DataFrame([self.described.info.to_json()])

    def lines(self) -> list[str]:
        """What is known of it."""
        return _description(self.described)


class Removed(Result):
    """What was removed."""

    def __init__(self, paths: list[Path]) -> None:
        """These files and folders."""
        super().__init__(Path())
        self.removed = paths

    @property
    def page(self) -> None:
        """None: there is no page."""
        return

    def table(self) -> "polars.DataFrame":
        """A row per file or folder."""
        import polars

        return polars.DataFrame({"removed": list(map(str, self.removed))}, {"removed": str})

    def lines(self) -> list[str]:
        """A line per file or folder."""
        return [f"removed {path}" for path in self.removed] or ["nothing was removed"]


@verb("runs", ListRunsOptions)
def list_runs(options: ListRunsOptions) -> RunList:
    """List every run below some folders: done, running, failed or killed.

    Returns a ``RunList``: ``.table()`` has a row per run, ``.runs`` their dates as dates.

        pl.list_runs("experiments", sort="started").table()
    """
    from polylect.runs import list_runs

    runs = list_runs(*options.roots, sort=options.sort, where=options.filter)
    if not runs:
        searched = " ".join(map(str, options.roots)) or "this folder"
        if options.filter:
            raise InputError(f"{searched}: no such runs below", "polylect runs")
        raise InputError(f"{searched}: no runs below", "make one: polylect run lifecycle")
    return RunList(runs)


@verb("runs show", DescribeRunOptions)
def describe_run(options: DescribeRunOptions) -> RunView:
    """Show a run: its state, the command that made it, settings, inputs and outputs.

    pl.describe_run("runs/lifecycle").command
    """
    from polylect.runs import describe_run

    return RunView(describe_run(options.path))


@verb("runs rm", RemoveRunsOptions)
def remove_runs(options: RemoveRunsOptions) -> Removed:
    """Remove runs, and what failed and killed ones left; asks before, unless ``yes=True``.

    pl.remove_runs(["runs/old"], yes=True)
    """
    from polylect.runs import removable, remove_run

    places = [
        place for path in options.paths for place in removable(path, caches=options.caches)
    ]  # fmt: skip
    if not options.yes:
        if not sys.stdin.isatty():
            raise InputError("runs rm: nobody can be asked here", "--yes removes without asking")
        sys.stdout.write("".join(f"  {place}\n" for place in places) + "remove these? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            return Removed([])
    return Removed(
        [place for path in options.paths for place in remove_run(path, caches=options.caches)]
    )


def open_run(path: "str | Path") -> Result:
    """The result in a folder, as the call that made it gave it.

    pl.open_run("runs/base").table()

    Args:
        path: a folder that a verb or a recipe wrote.

    Raises:
        InputError: there is none, or it is not finished.
    """
    from polylect.api.catalog import COMMANDS, find_call
    from polylect.runs import describe_run

    info = describe_run(path).info
    if info.state != "done":
        raise InputError(f"{path}: {info.state}, not done", f"polylect runs show {path}")
    if info.kind == "recipe":
        from polylect.api.recipe_runs import RunResult

        return RunResult(info.path)
    # Older results say less: "sft" for "train sft".
    calls = [call for words, call in COMMANDS.items() if info.what in (words, *words.split())]
    if not calls:
        raise InputError(f"{path}: made by {info.what!r}, which no call of this version does")
    return find_call(calls[0]).verb.result(info.path)


def _row(info: "RunInfo") -> tuple[str, ...]:
    from polylect.runs import duration

    started = info.started.astimezone().strftime("%Y-%m-%d %H:%M") if info.started else ""
    took = duration(info.seconds) if info.seconds is not None else ""
    says = info.error or info.progress or info.headline
    return (str(info.path), info.what, info.state, _steps(info), started, took,
            _size(info.num_bytes), says)  # fmt: skip


def _steps(info: "RunInfo") -> str:
    if info.step is None:
        return ""
    return f"{info.step} of {info.num_steps}" if info.num_steps else str(info.step)


def _size(num_bytes: int) -> str:
    if num_bytes < _MIB:
        return f"{-(-num_bytes // 1024)} KiB"
    if num_bytes < 1024 * _MIB:
        return f"{num_bytes / _MIB:,.1f} MiB"
    return f"{num_bytes / (1024 * _MIB):,.1f} GiB"


def _description(described: "RunDescription") -> list[str]:
    """A run for the terminal."""
    info = described.info
    row = _row(info)
    facts = {
        "state": info.state + (f", step {row[3]}" if row[3] else ""),
        "error": info.error,
        "progress": info.progress,
        "result": info.headline,
        "started": row[4],
        "took": row[5],
        "disk": row[6],
        "log": str(described.log or ""),
    }
    lines = [f"{info.path}: {info.what}"]
    lines += [f"  {name:<10} {value}" for name, value in facts.items() if value]
    lines += ["", "made by", f"  {described.command or 'not known: the result does not say'}"]
    for title, values in (
        ("config", described.config),
        ("inputs", {name: digest[:12] for name, digest in described.inputs.items()}),
        ("outputs", {name: digest[:12] for name, digest in described.outputs.items()}),
    ):
        if values:
            width = max(map(len, values))
            lines += ["", title]
            lines += [f"  {name:<{width}}  {_text(value)}" for name, value in values.items()]
    if described.ledger:
        lines += ["", "ledger", *(f"  {line}" for line in described.ledger.summary())]
    if described.pages:
        lines += ["", "look at", *(f"  {page}" for page in described.pages)]
    return lines


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
