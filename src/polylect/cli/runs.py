"""``polylect runs``: list runs, or show one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.base import InputError, Ledger
from polylect.cli.options import parse
from polylect.cli.results import print_lines
from polylect.runs import list_runs, read_run


@dataclass(frozen=True, kw_only=True)
class Options:
    """List runs, or show one."""

    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="[DIR]")]] = Path("runs")
    """Folder of runs, or of one run."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect runs [DIR]``."""
    path = parse(Options, arguments, "runs").path
    if (path / "run.json").is_file():
        print_lines(_description(path))
        return 0
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "make a run first: polylect run lifecycle")
    runs = list_runs(path)
    if not runs:
        raise InputError(f"{path}: no runs below", "make one: polylect run lifecycle")
    width = max(len(str(run["path"])) for run in runs)
    for run in runs:
        page = run["path"] / run["outputs"][0] if run["outputs"] else ""
        line = f"{run['path']!s:<{width}}  {run['recipe']:<12} {run['state']:<8}"
        print_lines([f"{line} {run['steps']:>3} steps  {page}".rstrip()])
    return 0


def _description(path: Path) -> list[str]:
    """A run's manifest for the terminal."""
    manifest = read_run(path)
    width = max((len(label) for label in manifest["steps"]), default=0)
    return [
        f"{path}: recipe {manifest['recipe']}, {manifest['state']}",
        "",
        "config",
        *(f"  {key:<20} {value}" for key, value in manifest["config"].items()),
        "",
        "steps",
        *(
            f"  {label:<{width}}  {step['folder']}  {step['digest'][:12]}"
            for label, step in manifest["steps"].items()
        ),
        "",
        "ledger",
        *(
            f"  {num:>10,}  {event}"
            for event, num in Ledger.from_json(manifest["ledger"]).by_event().items()
        ),
        "",
        "outputs",
        *(f"  {path / name}" for name in manifest["outputs"]),
    ]
