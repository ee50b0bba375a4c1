"""``polylect winrate``: judgments that are there already, ours, people's or arena-hard's."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import command_call, file_in, finish
from polylect.cli.values import language_tags


@dataclass(frozen=True, kw_only=True)
class Options:
    """Win rates of judgments in files, with intervals by prompt and agreement of the judges.

    Each FILE is a folder of 'polylect judge', rows of judgments by models or people (JSON lines or
    Parquet) of one pair of models, or judgments in arena-hard-auto's format.
    """

    files: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]")]
    ]
    """Judgments."""
    out: Path | None = None
    """Folder for the page; of arena-hard's files only the scores are printed."""
    seen: str = ""
    """Tags of the languages that the second model was trained in, reported apart."""
    weight: int = 3
    """How often a strong verdict counts in arena-hard's score."""
    force: Switch = False
    """Replace what --out holds, once the new page is complete."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect winrate``."""
    options = parse(Options, arguments, "winrate")
    from polylect.base import InputError
    from polylect.judging import is_arena_file

    if options.weight < 1:
        raise InputError(f"--weight is {options.weight}", "give 1 or more; arena-hard takes 3")
    games = [one for one in options.files if is_arena_file(one)]
    if games and len(games) < len(options.files):
        raise InputError(
            f"{games[0]} is in arena-hard's format, the others are not", "give the two apart"
        )
    if games:
        sys.stdout.write(_scores(games, options.weight))
        return 0
    _judgments(options)
    return 0


def _scores(files: Sequence[Path], weight: int) -> str:
    """Arena-hard's score of every model, our interval, and its own."""
    from polylect.base import InputError, Ledger
    from polylect.judging import interval_over_prompts, interval_over_rows, read_arena_games

    ledger = Ledger()
    found = [one for path in files for one in read_arena_games(path, ledger, weight)]
    if not found:
        raise InputError(f"{files[0]}: no prompt has two verdicts", "judge again")
    width = max(len(one.model) for one in found)
    lines = [f"{'model':<{width}}{'prompts':>9}{'score':>8}  {'95 % over prompts':<19}"
             "its own 90 % over rows"]  # fmt: skip
    for one in sorted(found, key=lambda one: -one.score):
        ours, theirs = interval_over_prompts(one.points), interval_over_rows(one.points)
        lines.append(
            f"{one.model:<{width}}{len(one.prompts):>9,}{100 * one.score:>8.1f}  "
            f"{f'{100 * ours.lower:.1f} to {100 * ours.upper:.1f}':<19}"
            f"{100 * theirs.lower:.1f} to {100 * theirs.upper:.1f}"
        )
    return "\n".join([*lines, *ledger.lines()]) + "\n"


def _judgments(options: Any) -> None:
    from polylect.judging import JUDGMENTS, outcome_table, read_judgments
    from polylect.report import Judged, judging_summary, write_judging_page
    from polylect.runs import Files, StepContext

    rows = read_judgments(options.files[0])
    models = (rows[0].model_a, rows[0].model_b)
    rows = [one for path in options.files for one in read_judgments(path, models)]
    judged = Judged(
        models=models,
        outcomes=outcome_table(rows),
        seen=language_tags(options.seen, "--seen"),
        settings={"files": ", ".join(one.name for one in options.files)},
    )
    sys.stdout.write(judging_summary(judged))
    if options.out is not None:

        def write(context: StepContext) -> None:
            write_judging_page(context.out / "index.html", judged)

        inputs = {f"file {number}": Files(file_in(path, JUDGMENTS))
                  for number, path in enumerate(options.files, start=1)}  # fmt: skip
        call = command_call("winrate", 1, options, inputs, write, leave_out=["files", "weight"])
        finish(call, options.out, force=options.force)
        sys.stdout.write(f"{options.out / 'index.html'}\n")
