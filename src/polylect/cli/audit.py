"""``polylect audit``: what the public can and cannot know about a board."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polylect.cli.options import parse


def options_type() -> type:
    """The options of ``audit``."""
    import tyro

    doc = tyro.conf.arg

    @dataclass(frozen=True, kw_only=True)
    class AuditOptions:
        file: tyro.conf.Positional[
            Annotated[
                Path | None,
                doc(
                    help="votes (.parquet, .jsonl): model_a, model_b, verdict; optionally count, "
                    "language, voter, time, prompt; or LMArena's form",
                    metavar="[VOTES]",
                ),
            ]
        ] = None
        boards: Annotated[
            Path | None,
            doc(help="dated boards: date, model, rating, battles (so far); provider, license"),
        ] = None
        registry: Annotated[
            Path | None,
            doc(
                help="models and private variants: model, provider, license (proprietary, "
                "open-weight, open-source), private, tested_from, tested_to, score, added, retired"
            ),
        ] = None
        out: Annotated[Path, doc(help="folder for audit.json and audit.html")] = Path("runs/audit")
        cap: Annotated[int, doc(help="private variants allowed per provider at a time")] = 3
        floor: Annotated[
            float, doc(help="least part of its equal share that a class or provider must get")
        ] = 0.9
        window: Annotated[int, doc(help="days over which a model's activity is measured")] = 52
        seed: Annotated[int, doc(help="of the draws of honest voters")] = 0

    return AuditOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect audit``."""
    options: Any = parse(options_type(), arguments, "audit", "Audit a public board of models.")
    # Matrices here are small: a second BLAS thread only costs. No effect where numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from polylect.auditing import AuditSettings, Registry, audit_board, read_battles, read_boards
    from polylect.base import InputError, write_json
    from polylect.report import write_audit_page

    if not 0.0 <= options.floor <= 1.0:
        raise InputError(f"--floor is {options.floor}", "give a part from 0 to 1, e.g. 0.9")
    for name in ("cap", "window"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}", "give 1 or more")
    files = [one for one in (options.file, options.boards, options.registry) if one is not None]
    audit = audit_board(
        None if options.file is None else read_battles(options.file),
        () if options.boards is None else read_boards(options.boards),
        None if options.registry is None else Registry.read(options.registry),
        AuditSettings(
            cap=options.cap, floor=options.floor, window_days=options.window, seed=options.seed
        ),
        [one.name for one in files],
    )
    write_json(options.out / "audit.json", audit.to_json())
    write_audit_page(options.out / "audit.html", audit)
    lines = [f"{options.out / 'audit.html'}"]
    for one in audit.recommendations:
        lines += [f"{one.number}. {one.title}: {one.verdict}", f"   {one.reason}"]
    lines += [f"{num:,} {event}" for event, num in audit.ledger.by_event().items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
