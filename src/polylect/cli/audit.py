"""``polylect audit``: what the public can and cannot know about a board."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.base import Count, Seed, Share
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, write_result
from polylect.cli.values import limit_blas_threads

_FILES = ("file", "boards", "registry")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Audit a public board of models: what it shows, and what it hides."""

    file: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="[VOTES]")]] = None
    """Votes (.parquet, .jsonl): model_a, model_b, verdict; optionally count, language, voter, time,
    prompt. LMArena's form is read too."""
    boards: Path | None = None
    """Dated boards: date, model, rating, battles (so far); optionally provider, license."""
    registry: Path | None = None
    """Models and private variants: model, provider, license (proprietary, open-weight,
    open-source), private, tested_from, tested_to, score, added, retired."""
    out: Path = Path("runs/audit")
    """Folder for audit.json and audit.html."""
    cap: Count = 3
    """Private variants that a provider may test at a time."""
    floor: Share = 0.9
    """Least fraction of an equal share of the votes that a license or provider must get."""
    window: Count = 52
    """Days over which a model's activity is measured."""
    seed: Seed = 0
    """Seed of the simulated honest voters."""
    force: Switch = False
    """Replace what --out holds, once the new audit is complete."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect audit``."""
    options = parse(Options, arguments, "audit")
    limit_blas_threads()
    from polylect.auditing import AuditSettings, Registry, audit_board, read_battles, read_boards
    from polylect.base import Ledger, read_json, write_json
    from polylect.report import write_audit_page
    from polylect.runs import Files, StepContext

    files = {name: path for name in _FILES if (path := getattr(options, name)) is not None}

    def write(context: StepContext) -> None:
        board_audit = audit_board(
            None if options.file is None else read_battles(options.file),
            () if options.boards is None else read_boards(options.boards),
            None if options.registry is None else Registry.read(options.registry),
            AuditSettings(
                cap=options.cap, floor=options.floor, window_days=options.window, seed=options.seed
            ),
            [path.name for path in files.values()],
        )
        write_json(context.out / "audit.json", board_audit.to_json())
        write_audit_page(context.out / "audit.html", board_audit)

    inputs = {name: Files(path) for name, path in files.items()}
    artifact = write_result("audit", 4, options, inputs, write, leave_out=_FILES)
    audit = read_json(artifact.path / "audit.json")
    lines = [f"{options.out / 'audit.html'}"]
    for advice in audit["recommendations"]:
        lines += [f"{advice['number']}. {advice['title']}: {advice['verdict']}"]
        lines += [f"   {advice['reason']}"]
    print_lines([*lines, *Ledger.from_json(audit["ledger"]).summary()])
    return 0
