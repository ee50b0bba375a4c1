"""Judgments in arena-hard-auto's format, its own score, and an interval that holds.

Its rules (``show_result.py``): two games a prompt, the baseline first in the first one; a strong
verdict counts three times, a tie a half; the score is the mean of all these rows. Its interval
resamples the rows: the three copies of one verdict, and the two games of one prompt, as if they had
been judged independently, which makes it too narrow. Here whole prompts are resampled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger
from polylect.judging.readings import read_label
from polylect.rows import Judgment, Verdict, read_dicts
from polylect.stats import share_interval

WEIGHT = 3
NO_VERDICT = "left out: a game without a verdict"
_POINTS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}

Points = tuple[float, ...]
"""Rows of the score for one prompt: what each game gave the model, as often as it counts."""


@dataclass(frozen=True)
class ArenaGames:
    """The prompts of one model that have two verdicts.

    Attributes:
        model: the model.
        baseline: what it played against; empty if the file does not say.
        prompts: ids.
        points: of each prompt.
    """

    model: str
    baseline: str
    prompts: tuple[str, ...]
    points: tuple[Points, ...]

    @property
    def score(self) -> float:
        """Arena-hard's score: the mean over all rows."""
        return float(np.mean([value for points in self.points for value in points]))


@dataclass(frozen=True)
class ArenaScore:
    """A score with its interval."""

    score: float
    lower: float
    upper: float

    @property
    def bounds(self) -> str:
        """Both bounds in per cent; a dash for an interval without width, which says nothing."""
        if self.lower == self.upper:
            return "–"
        return f"{100 * self.lower:.1f} to {100 * self.upper:.1f}"


def read_arena_games(path: Path, ledger: Ledger, weight: int = WEIGHT) -> list[ArenaGames]:
    """The games of a file by model; prompts with a game without a verdict are counted.

    Raises:
        InputError: the file is not in arena-hard's format; names the line.
    """
    by_model: dict[tuple[str, str], dict[str, Points]] = {}
    for where, row in read_dicts(path):
        id_, games = row.get("uid", row.get("question_id")), row.get("games")
        model = row.get("model")
        for name, value in (("uid", id_), ("model", model)):
            if not isinstance(value, str) or not value.strip():
                problem = "missing" if value is None else repr(value)
                raise InputError(
                    f"{where}: not arena-hard's format: {name!r} is {problem}",
                    "a row has uid, model and two games",
                )
        if not isinstance(games, list) or len(games) != 2:
            problem = "missing" if games is None else repr(games)[:40]
            raise InputError(
                f"{where}: not arena-hard's format: 'games' is {problem}",
                "a row has uid, model and two games",
            )
        labels = [game.get("score") if isinstance(game, Mapping) else None for game in games]
        points = by_model.setdefault((str(model), str(row.get("baseline") or "")), {})
        if any(label is None for label in labels):
            ledger.count(NO_VERDICT, 1, str(model))
            continue
        if id_ in points:
            raise InputError(f"{where}: prompt {id_!r} is there already", "remove the row")
        verdicts = [read_label(f"[[{label}]]") for label in labels]
        for label, (verdict, _) in zip(labels, verdicts, strict=True):
            if verdict is Verdict.INVALID:
                raise InputError(f"{where}: no label {label!r}", "a label is like A>>B or A=B")
        points[id_] = _points(verdicts[0], verdicts[1], weight)
    return [
        ArenaGames(model, baseline, tuple(points), tuple(points.values()))
        for (model, baseline), points in by_model.items()
        if points
    ]


def _points(first: tuple[Verdict, bool], second: tuple[Verdict, bool], weight: int) -> Points:
    """Points of the second game, where the model is A, then of the first, where it is B."""
    return (_POINTS[second[0]],) * (weight if second[1] else 1) + (1 - _POINTS[first[0]],) * (
        weight if first[1] else 1
    )


def arena_points(judgment: Judgment, other: Judgment, weight: int = WEIGHT) -> Points:
    """Points of ``model_b`` for a pair of our judgments, one in each order, as in two games."""
    first, second = (judgment, other) if other.swapped else (other, judgment)
    # In a game, A is whoever was shown first.
    return _points((first.verdict, first.strong), (second.verdict.swapped(), second.strong), weight)


def interval_over_prompts(points: Sequence[Sequence[float]], level: float = 0.95) -> ArenaScore:
    """The score with the interval of a share over prompts, whose rows are one cluster."""
    rows = pl.DataFrame(
        {
            "cluster": [number for number, of_prompt in enumerate(points) for _ in of_prompt],
            "value": [value for of_prompt in points for value in of_prompt],
        }
    ).with_columns(all=True)
    row = share_interval(rows, ["all"], pl.col("value"), level=level).row(0, named=True)
    return ArenaScore(row["mean"], row["lower"], row["upper"])


def interval_over_rows(
    points: Sequence[Sequence[float]], *, level: float = 0.9, num_rounds: int = 100, seed: int = 0
) -> ArenaScore:
    """Arena-hard's own interval: percentiles of the mean when single rows are resampled.

    For comparison only: of rows that are all equal it has no width. The defaults are its published
    settings. Its score is then the mean of the rounds; here it is the mean of the rows.
    """
    rows = np.array([value for of_prompt in points for value in of_prompt])
    random = np.random.Generator(np.random.Philox(seed))
    means = rows[random.integers(0, len(rows), (num_rounds, len(rows)))].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return ArenaScore(float(rows.mean()), float(lower), float(upper))


def is_arena_file(path: Path) -> bool:
    """Whether a JSON-lines file looks like arena-hard's judgments, by its first line."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        first: object = json.loads(line)
    except ValueError:
        return False
    return isinstance(first, dict) and "games" in first
