"""``polylect runs``: list what was run, show how something was made, or remove it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.base import InputError, parse_pairs
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines
from polylect.cli.text_table import table_lines
from polylect.runs import (
    RunDescription,
    RunInfo,
    describe_run,
    duration,
    list_runs,
    removable,
    remove_run,
)

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """List every run below some folders: done, running, failed or killed.

    'polylect runs show DIR' prints what made a run, as a command; 'polylect runs rm DIR' removes
    runs, and what failed and killed ones left.
    """

    words: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="[show|rm] [DIR]")]
    ] = ()
    """Folders to search, or runs. Default: the current folder."""
    sort: str = "path"
    """Column to sort by: path, what, state, started, seconds, num_bytes, headline."""
    filter: Annotated[tuple[str, ...], tyro.conf.arg(metavar="COLUMN=TEXT")] = ()
    """Show only runs with this text in this column, e.g. state=failed what=train*."""
    json: Switch = False
    """Print JSON."""
    yes: Switch = False
    """Remove without asking (rm)."""
    caches: Switch = False
    """Remove DIR-cache too (rm)."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect runs [show|rm] [DIR]``."""
    options = parse(Options, arguments, "runs")
    verb, paths = options.words[:1], options.words[1:]
    if verb == ("show",):
        return _show(options, paths)
    if verb == ("rm",):
        return _remove(options, paths)
    if options.yes or options.caches:
        raise InputError("--yes and --caches are for removing", "polylect runs rm DIR")
    return _list(options)


def _list(options: Options) -> int:
    where = parse_pairs("filter", options.filter, "COLUMN=TEXT")
    infos = list_runs(*options.words, sort=options.sort, where=where)
    if options.json:
        print_lines([json.dumps([info.to_json() for info in infos], ensure_ascii=False, indent=1)])
        return 0
    if not infos:
        searched = " ".join(options.words) or "this folder"
        if where:
            raise InputError(f"{searched}: no such runs below", "polylect runs")
        raise InputError(f"{searched}: no runs below", "make one: polylect run lifecycle")
    head = ("run", "what", "state", "step", "started", "took", "disk", "")
    rows = [head, *(_row(info) for info in infos)]
    print_lines(table_lines(rows, right=(3, 5, 6), shrink=(7, 0)))
    return 0


def _row(info: RunInfo) -> tuple[str, ...]:
    started = info.started.astimezone().strftime("%Y-%m-%d %H:%M") if info.started else ""
    took = duration(info.seconds) if info.seconds is not None else ""
    says = info.error or info.progress or info.headline
    return (str(info.path), info.what, info.state, _steps(info), started, took,
            _size(info.num_bytes), says)  # fmt: skip


def _steps(info: RunInfo) -> str:
    if info.step is None:
        return ""
    return f"{info.step} of {info.num_steps}" if info.num_steps else str(info.step)


def _size(num_bytes: int) -> str:
    if num_bytes < _MIB:
        return f"{-(-num_bytes // 1024)} KiB"
    if num_bytes < 1024 * _MIB:
        return f"{num_bytes / _MIB:,.1f} MiB"
    return f"{num_bytes / (1024 * _MIB):,.1f} GiB"


def _show(options: Options, paths: Sequence[str]) -> int:
    if len(paths) != 1:
        raise InputError("runs show: which run?", "polylect runs show DIR")
    described = describe_run(paths[0])
    if options.json:
        print_lines([json.dumps(described.to_json(), ensure_ascii=False, indent=1)])
    else:
        print_lines(_description(described))
    return 0


def _description(described: RunDescription) -> list[str]:
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


def _remove(options: Options, paths: Sequence[str]) -> int:
    if not paths:
        raise InputError("runs rm: which run?", "polylect runs rm DIR")
    places = [place for path in paths for place in removable(path, caches=options.caches)]
    if not options.yes:
        if not sys.stdin.isatty():
            raise InputError("runs rm: nobody can be asked here", "--yes removes without asking")
        print_lines(f"  {place}" for place in places)
        sys.stdout.write("remove these? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            print_lines(["nothing was removed"])
            return 0
    for path in paths:
        print_lines(f"removed {place}" for place in remove_run(Path(path), caches=options.caches))
    return 0
