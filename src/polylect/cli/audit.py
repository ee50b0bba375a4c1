"""``polylect audit``: what the public can and cannot know about a board."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import command_call, finish, print_lines

_FILES = ("file", "boards", "registry")


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
        seed: Annotated[int, doc(help="seed of the simulated honest voters")] = 0
        force: Annotated[Switch, doc(help="replace what --out holds, once this is complete")] = (
            False
        )

    return AuditOptions


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect audit``."""
    options: Any = parse(options_type(), arguments, "audit", "Audit a public board of models.")
    # Matrices here are small: a second BLAS thread only costs. No effect where numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from polylect.auditing import AuditSettings, Registry, audit_board, read_battles, read_boards
    from polylect.base import InputError, Ledger, read_json, write_json
    from polylect.report import write_audit_page
    from polylect.runs import Files, StepContext

    if not 0.0 <= options.floor <= 1.0:
        raise InputError(f"--floor is {options.floor}", "give a part from 0 to 1, e.g. 0.9")
    for name in ("cap", "window"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}", "give 1 or more")
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
    call = command_call("audit", 1, options, inputs, write, leave_out=_FILES)
    artifact = finish(call, options.out, force=options.force)
    audit = read_json(artifact.path / "audit.json")
    lines = [f"{options.out / 'audit.html'}"]
    for advice in audit["recommendations"]:
        lines += [f"{advice['number']}. {advice['title']}: {advice['verdict']}"]
        lines += [f"   {advice['reason']}"]
    print_lines([*lines, *Ledger.from_json(audit["ledger"]).summary()])
    return 0
