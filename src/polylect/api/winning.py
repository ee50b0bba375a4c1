"""``win_rates``: win rates of judgments that are there: ours, people's, or arena-hard's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.paths import file_in
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import check_seen
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import refuse_without_effect
from polylect.base import Count, InputError, Ledger, read_json

if TYPE_CHECKING:
    import polars

    from polylect.judging import ArenaGames
    from polylect.report import Judged
    from polylect.runs import Call, StepContext


@dataclass(frozen=True, kw_only=True)
class WinRatesOptions:
    """Win rates of existing judgments, with intervals over prompts and agreement of the judges.

    Judgments of ours or of people are of one pair of models; those of arena-hard-auto may be of
    many. Writes a table and index.html.

    Examples:
        polylect winrate runs/judged
        polylect winrate runs/judged people.jsonl --seen de,tr --out runs/beside-people
        polylect winrate arena-hard/gpt-4.1/*.jsonl --weight 1 --json
    """

    files: Positional[Annotated[tuple[Path, ...], Mark(metavar="FILE [FILE ...]")]]
    """Folders of 'polylect judge', rows of judgments by models or people (JSON lines or Parquet),
    or judgments in arena-hard-auto's format."""
    seen: tuple[str, ...] = ()
    """Tags of languages that the second model was trained in; they are reported apart."""
    weight: Count = 3
    """Weight of a strong verdict in arena-hard's score."""
    output: Group[Output] = field(default_factory=Output)


class WinRates(Result):
    """Win rates of the second model by judge and language, or arena-hard's score of every model."""

    @property
    def is_arena(self) -> bool:
        """Whether these are scores by arena-hard's rule."""
        return (self.path / _SCORES).is_file()

    @cached_property
    def judged(self) -> "Judged":
        """The outcomes of every pair."""
        return _judged(self.path / _JUDGMENTS, read_json(self.path / "step.json")["config"])

    @property
    def overall(self) -> "polars.DataFrame":
        """Over all languages: a row per judge (arena-hard's: per model)."""
        if self.is_arena:
            return self.table()
        from polylect.judging import win_rate_table

        return win_rate_table(self.judged.outcomes, "judge")

    def table(self) -> "polars.DataFrame":
        """A row per judge and language; of arena-hard's judgments a row per model."""
        import polars

        from polylect.judging import win_rate_table

        if self.is_arena:
            return polars.read_parquet(self.path / _SCORES)
        return win_rate_table(self.judged.outcomes, "judge", "language")

    def lines(self) -> list[str]:
        """A few lines per judge or model, and what was counted."""
        from polylect.report import judging_summary

        if self.is_arena:
            head = ("model", "prompts", "score", "95 % over prompts", "arena-hard's 90 % over rows")
            rows = [_arena_cells(row) for row in self.rows()]
            lines = text_table(head, rows, "lrrll")
        else:
            lines = judging_summary(self.judged).splitlines()
        return [*lines, *self.ledger.lines(), str(self.page)]


_SCORES, _JUDGMENTS = "scores.parquet", "judgments.parquet"
_STEP = ("polylect winrate", 3)


@verb("winrate", WinRatesOptions)
def win_rates(options: WinRatesOptions) -> WinRates | Plan:
    """Win rates of existing judgments: ours, people's, or arena-hard's.

    Returns ``WinRates``: ``.table()`` has a row per judge and language.

        pl.win_rates(["runs/judged", "people.jsonl"]).overall
    """
    from polylect.judging import is_arena_file

    if not options.files:
        raise InputError("winrate: no judgments", "polylect winrate FILE ...")
    arena_files = [path for path in options.files if is_arena_file(path)]
    if arena_files and len(arena_files) < len(options.files):
        raise InputError(
            f"{arena_files[0]} is in arena-hard's format, the others are not",
            "give the two formats separately",
        )
    call, about = _arena_call(options) if arena_files else _judgments_call(options)
    return run_call(
        call, options.output, "winrate", WinRates,
        lambda out: [about, f"would write into {out}"],
    )  # fmt: skip


def _arena_call(options: WinRatesOptions) -> tuple["Call", str]:
    """The step for judgments in arena-hard's format, and what it would do."""
    import polars

    from polylect.base import count_look_alikes
    from polylect.judging import interval_over_prompts, interval_over_rows
    from polylect.report import write_arena_page
    from polylect.runs import Call, Files, Step

    reasons = {"seen": ("arena-hard's judgments have no languages", "leave it out")}
    refuse_without_effect("winrate", options, reasons)
    games = _games(options, Ledger())

    def write(_: object, inputs: object, context: "StepContext") -> None:
        games = _games(options, context.ledger)
        names = (name for game in games for name in (game.model, game.baseline))
        count_look_alikes(context.ledger, "models", names)
        rows = []
        for game in sorted(games, key=lambda game: -game.score):
            ours, theirs = interval_over_prompts(game.points), interval_over_rows(game.points)
            rows.append({
                "model": game.model, "baseline": game.baseline, "prompts": len(game.prompts),
                "score": game.score, "lower": ours.lower, "upper": ours.upper,
                "rows_lower": theirs.lower, "rows_upper": theirs.upper,
            })  # fmt: skip
        polars.DataFrame(rows).write_parquet(context.out / _SCORES)
        cells = [_arena_cells(row) for row in rows]
        write_arena_page(context.out / WinRates.page_name, cells, options.weight, context.ledger)

    inputs = {f"file {number}": Files(path) for number, path in enumerate(options.files, start=1)}
    call = Call(Step(*_STEP, write), "winrate", {"weight": options.weight}, inputs)
    return call, f"would score {len(games):,} models by arena-hard's rule"


def _games(options: WinRatesOptions, ledger: Ledger) -> "list[ArenaGames]":
    """The games of all files by model.

    Raises:
        InputError: no prompt has two verdicts.
    """
    from polylect.judging import read_arena_games

    games = [
        game for path in options.files for game in read_arena_games(path, ledger, options.weight)
    ]
    if not games:
        raise InputError(f"{options.files[0]}: no prompt has two verdicts", "judge again")
    return games


def _arena_cells(row: Mapping[str, Any]) -> list[str]:
    """Model, prompts, score and both intervals as text."""
    from polylect.judging import ArenaScore

    ours, theirs = (
        ArenaScore(row["score"], row[f"{kind}lower"], row[f"{kind}upper"]) for kind in ("", "rows_")
    )
    score = f"{100 * row['score']:.1f}"
    return [row["model"], f"{row['prompts']:,}", score, ours.bounds, theirs.bounds]


def _judgments_call(options: WinRatesOptions) -> tuple["Call", str]:
    """The step for judgments of one pair of models, and what it would do."""
    from polylect.base import count_look_alikes
    from polylect.judging import JUDGMENTS, read_judgments
    from polylect.report import write_judging_page
    from polylect.rows import Judgment, write_rows
    from polylect.runs import Call, Files, Step

    reasons = {"weight": ("no file is in arena-hard's format", "leave it out")}
    refuse_without_effect("winrate", options, reasons)
    first = read_judgments(options.files[0])[0]
    models = (first.model_a, first.model_b)
    rows = [row for path in options.files for row in read_judgments(path, models)]
    seen = check_seen(options.seen, (row.language for row in rows))
    settings = {"seen": seen}

    def write(_: object, inputs: object, context: "StepContext") -> None:
        count_look_alikes(context.ledger, "judges", {row.judge for row in rows})
        write_rows(context.out / _JUDGMENTS, Judgment, rows)
        shown = settings | {"files": ", ".join(path.name for path in options.files)}
        judged = _judged(context.out / _JUDGMENTS, shown, context.ledger)
        write_judging_page(context.out / WinRates.page_name, judged)

    inputs = {
        f"file {number}": Files(file_in(path, JUDGMENTS))
        for number, path in enumerate(options.files, start=1)
    }
    about = f"would compare {models[1]} with {models[0]} by {len(rows):,} judgments"
    return Call(Step(*_STEP, write), "winrate", settings, inputs), about


def _judged(file: Path, settings: Mapping[str, Any], ledger: Ledger | None = None) -> "Judged":
    """The outcomes of a file of judgments of one pair of models."""
    from polylect.judging import outcome_table, read_judgments
    from polylect.report import Judged

    rows = read_judgments(file)
    return Judged(
        models=(rows[0].model_a, rows[0].model_b),
        outcomes=outcome_table(rows),
        seen=tuple(settings["seen"]),
        settings=settings,
        ledger=ledger or Ledger(),
    )
