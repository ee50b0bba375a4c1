"""``polylect winrate``: win rates of existing judgments: ours, human, or arena-hard's."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from polylect.base import Count
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import file_in, print_lines, write_result
from polylect.cli.values import check_seen, language_tags


@dataclass(frozen=True, kw_only=True)
class Options:
    """Win rates of existing judgments, with intervals over prompts and agreement of the judges.

    Each FILE is a folder of 'polylect judge', rows of judgments by models or people (JSON lines or
    Parquet) of one pair of models, or judgments in arena-hard-auto's format.
    """

    files: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]")]
    ]
    """Judgments."""
    out: Path | None = None
    """Folder for the page. For files of arena-hard the scores are only printed."""
    seen: str = ""
    """Tags of the languages that the second model was trained on, reported separately."""
    weight: Count = 3
    """Weight of a strong verdict in arena-hard's score."""
    force: Switch = False
    """Replace what --out holds, once the new page is complete."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect winrate``."""
    options = parse(Options, arguments, "winrate")
    from polylect.base import InputError
    from polylect.judging import is_arena_file

    arena_files = [path for path in options.files if is_arena_file(path)]
    if arena_files and len(arena_files) < len(options.files):
        raise InputError(
            f"{arena_files[0]} is in arena-hard's format, the others are not",
            "give the two formats separately",
        )
    if arena_files:
        sys.stdout.write(_scores(arena_files, options.weight))
        return 0
    _judgments(options)
    return 0


def _scores(files: Sequence[Path], weight: int) -> str:
    """Arena-hard's score of every model, with our interval and arena-hard's."""
    from polylect.base import InputError, Ledger, count_look_alikes
    from polylect.judging import interval_over_prompts, interval_over_rows, read_arena_games

    ledger = Ledger()
    games = [game for path in files for game in read_arena_games(path, ledger, weight)]
    if not games:
        raise InputError(f"{files[0]}: no prompt has two verdicts", "judge again")
    count_look_alikes(ledger, "models", (name for g in games for name in (g.model, g.baseline)))
    width = max(len(game.model) for game in games)
    lines = [f"{'model':<{width}}{'prompts':>9}{'score':>8}  {'95 % over prompts':<19}"
             "arena-hard's 90 % over rows"]  # fmt: skip
    for game in sorted(games, key=lambda game: -game.score):
        prompts, rows = interval_over_prompts(game.points), interval_over_rows(game.points)
        lines.append(
            f"{game.model:<{width}}{len(game.prompts):>9,}{100 * game.score:>8.1f}  "
            f"{prompts.bounds:<19}{rows.bounds}"
        )
    return "\n".join([*lines, *ledger.lines()]) + "\n"


def _judgments(options: Any) -> None:
    from polylect.base import Ledger, count_look_alikes
    from polylect.judging import JUDGMENTS, outcome_table, read_judgments
    from polylect.report import Judged, judging_summary, write_judging_page
    from polylect.runs import Files, StepContext

    rows = read_judgments(options.files[0])
    models = (rows[0].model_a, rows[0].model_b)
    rows = [row for path in options.files for row in read_judgments(path, models)]
    seen = language_tags(options.seen, "--seen")
    check_seen(seen, (row.language for row in rows))
    judged = Judged(
        models=models,
        outcomes=outcome_table(rows),
        seen=seen,
        settings={"files": ", ".join(path.name for path in options.files)},
    )
    sys.stdout.write(judging_summary(judged))
    ledger = Ledger()
    count_look_alikes(ledger, "judges", {row.judge for row in rows})
    print_lines(ledger.lines())
    if options.out is not None:

        def write(context: StepContext) -> None:
            write_judging_page(context.out / "index.html", judged)

        inputs = {f"file {number}": Files(file_in(path, JUDGMENTS))
                  for number, path in enumerate(options.files, start=1)}  # fmt: skip
        write_result("winrate", 2, options, inputs, write, leave_out=["files", "weight"])
        sys.stdout.write(f"{options.out / 'index.html'}\n")
