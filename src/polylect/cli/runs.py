"""``polylect runs``: list runs, or show one."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polylect.base import InputError, Ledger
from polylect.cli.options import parse
from polylect.runs import list_runs, read_run


def options_type() -> type:
    """The options of ``runs``."""
    import tyro

    doc = tyro.conf.arg

    @dataclass(frozen=True, kw_only=True)
    class RunsOptions:
        path: tyro.conf.Positional[
            Annotated[Path, doc(help="a folder of runs, or one run", metavar="[DIR]")]
        ] = Path("runs")

    return RunsOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect runs [DIR]``."""
    path = parse(options_type(), arguments, "runs", "List runs, or show one.").path  # pyrefly: ignore
    if (path / "run.json").is_file():
        sys.stdout.write(_one(path))
        return 0
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "make a run first: polylect run lifecycle")
    found = list_runs(path)
    if not found:
        raise InputError(f"{path}: no runs below", "make one: polylect run lifecycle")
    width = max(len(str(one["path"])) for one in found)
    for one in found:
        page = one["path"] / one["outputs"][0] if one["outputs"] else ""
        line = f"{one['path']!s:<{width}}  {one['recipe']:<12} {one['state']:<8}"
        sys.stdout.write(f"{line} {one['steps']:>3} steps  {page}".rstrip() + "\n")
    return 0


def _one(path: Path) -> str:
    manifest = read_run(path)
    lines = [f"{path}: recipe {manifest['recipe']}, {manifest['state']}", "", "config"]
    lines += [f"  {key:<20} {value}" for key, value in manifest["config"].items()]
    lines += ["", "steps"]
    width = max((len(label) for label in manifest["steps"]), default=0)
    for label, one in manifest["steps"].items():
        lines.append(f"  {label:<{width}}  {one['folder']}  {one['digest'][:12]}")
    ledger = Ledger.from_json(manifest["ledger"]).by_event()
    lines += ["", "ledger"] + [f"  {num:>10,}  {event}" for event, num in ledger.items()]
    lines += ["", "outputs"] + [f"  {path / name}" for name in manifest["outputs"]]
    return "\n".join(lines) + "\n"
