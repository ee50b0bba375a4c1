"""Judgments in arena-hard-auto's format, its own score, and an interval that holds.

Its rules (``show_result.py``): two games a prompt, the baseline first in the first one; a strong
verdict counts three times, a tie a half; the score is the mean of all these rows. Its interval
draws the rows again: the three copies of one verdict, and the two games of one prompt, as if they
had been judged apart, which makes it too narrow. Here whole prompts are what could have been
others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger
from polylect.judging.protocols import read_label
from polylect.rows import Judgment, Verdict, read_dicts

WEIGHT = 3
NULL = "left out: a game without a verdict"
_POINTS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}


@dataclass(frozen=True)
class Games:
    """The prompts of one model that have two verdicts.

    Attributes:
        model: the model.
        baseline: what it played against; empty where the file does not say.
        prompts: ids.
        points: rows of the score, prompt by prompt: what each game gave the model, as often as it
            counts.
    """

    model: str
    baseline: str
    prompts: tuple[str, ...]
    points: tuple[tuple[float, ...], ...]

    @property
    def score(self) -> float:
        """Arena-hard's score: the mean over all rows."""
        rows = [value for own in self.points for value in own]
        return float(np.mean(rows))


@dataclass(frozen=True)
class Interval:
    """A score with its interval."""

    score: float
    lower: float
    upper: float


def read_games(path: Path, ledger: Ledger, weight: int = WEIGHT) -> list[Games]:
    """The games of a file, model by model; prompts with a game without a verdict are counted.

    Raises:
        InputError: the file is not in arena-hard's format; names the line.
    """
    found: dict[tuple[str, str], dict[str, tuple[float, ...]]] = {}
    for where, row in read_dicts(path):
        name = row.get("uid", row.get("question_id"))
        games = row.get("games")
        if not isinstance(name, str) or not isinstance(games, list) or len(games) != 2:
            raise InputError(
                f"{where}: not arena-hard's format", "a row has uid, model and two games"
            )
        labels = [game.get("score") if isinstance(game, Mapping) else None for game in games]
        own = found.setdefault((str(row.get("model")), str(row.get("baseline") or "")), {})
        if any(label is None for label in labels):
            ledger.count(NULL, 1, str(row.get("model")))
            continue
        if name in own:
            raise InputError(f"{where}: prompt {name!r} is there already", "remove the row")
        verdicts = []
        for label in labels:
            verdict, strong = read_label(f"[[{label}]]")
            if verdict is Verdict.INVALID:
                raise InputError(f"{where}: no label {label!r}", "a label is like A>>B or A=B")
            verdicts.append((verdict, strong))
        own[name] = points_of(verdicts, weight)
    return [
        Games(model, baseline, tuple(own), tuple(own.values()))
        for (model, baseline), own in found.items()
        if own
    ]


def points_of(verdicts: Sequence[tuple[Verdict, bool]], weight: int = WEIGHT) -> tuple[float, ...]:
    """Rows of the score for one prompt: the second game, where the model is A, then the first."""
    (first, first_strong), (second, second_strong) = verdicts
    return (_POINTS[second],) * (weight if second_strong else 1) + (1 - _POINTS[first],) * (
        weight if first_strong else 1
    )


def points_of_pair(one: Judgment, other: Judgment, weight: int = WEIGHT) -> tuple[float, ...]:
    """Rows of the score of ``model_b`` for a pair of our judgments, in the same two games."""
    plain, swapped = (one, other) if other.swapped else (other, one)
    # In the games A is whoever was shown first.
    return points_of(
        [(plain.verdict, plain.strong), (swapped.verdict.swapped(), swapped.strong)], weight
    )


def by_prompt(points: Sequence[Sequence[float]], level: float = 0.95) -> Interval:
    """The score with an interval over prompts: Student's t, sandwich variance of a ratio."""
    from scipy.special import stdtrit

    top = np.array([sum(own) for own in points])
    bottom = np.array([len(own) for own in points], np.float64)
    score = float(top.sum() / bottom.sum())
    num = len(points)
    if num < 2:
        return Interval(score, float("-inf"), float("inf"))
    pulls = (top - score * bottom) / bottom.sum()
    half = float(stdtrit(num - 1, (1 + level) / 2) * np.sqrt(num / (num - 1) * (pulls @ pulls)))
    return Interval(score, score - half, score + half)


def by_row(
    points: Sequence[Sequence[float]], *, level: float = 0.9, num_rounds: int = 100, seed: int = 0
) -> Interval:
    """Arena-hard's own interval: percentiles of the mean when single rows are drawn again.

    For comparison only. Its published settings are the defaults; its score is then the mean of
    the rounds, here the mean of the rows.
    """
    rows = np.array([value for own in points for value in own])
    random = np.random.Generator(np.random.Philox(seed))
    means = rows[random.integers(0, len(rows), (num_rounds, len(rows)))].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(rows.mean()), float(lower), float(upper))


def is_games_file(path: Path) -> bool:
    """Whether a JSON-lines file looks like arena-hard's judgments."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        first: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(first, dict) and "games" in first
