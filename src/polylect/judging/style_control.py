"""How long and how decorated an answer is, and the win rate at equal length and style.

Length counts in tokens of one fixed tokenizer, or in characters: both sides of a pair are in one
language, so that a character means the same on both. Decoration is what arena-hard-auto counts:
headers, list items and bold words of Markdown, per unit of length.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polylect.base import UndecidableError, digest_of
from polylect.ranking import VoteTable, fit_contextual

if TYPE_CHECKING:
    import polars as pl

    from polylect.judging.pairs import Pair

FEATURES = ("length", "headers", "lists", "bold")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_PATTERNS = (
    re.compile(r"^#{1,6}\s", re.MULTILINE),
    re.compile(r"^\s*(?:[-*+]|\d+[.)])\s", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
)
_NUM_GROUPS = 20

Size = Callable[[str], int]
"""How long a text is."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """A win rate at equal features.

    Attributes:
        features: what was held equal.
        win_rate: of ``model_b``.
        lower: lower end of a 95 % interval: a jackknife over 20 groups of prompts.
        upper: upper end.
        problem: why there is none; empty where there is.
    """

    features: tuple[str, ...]
    win_rate: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    problem: str = ""


def style_of_answer(text: str, size: Size) -> tuple[int, int, int, int]:
    """Length, headers, list items and bold words; code in fences has no decoration."""
    bare = _CODE.sub("", text)
    headers, lists, bold = (len(one.findall(bare)) for one in _PATTERNS)
    return size(text), headers, lists, bold


def differences(pairs: Sequence["Pair"], size: Size) -> np.ndarray:
    """Features [pairs, 4], ``model_a`` minus ``model_b``, as arena-hard-auto takes them.

    Lengths as (a − b) / (a + b); the others as densities per unit of length, (a − b) / (a + b + 1).
    """
    sides = [
        np.array([style_of_answer(answer.answer, size) for answer in own], np.float64).reshape(
            -1, 4
        )
        for own in ([one.a for one in pairs], [one.b for one in pairs])
    ]
    lengths = [np.maximum(own[:, 0], 1.0) for own in sides]
    found = np.empty((len(pairs), len(FEATURES)))
    found[:, 0] = (lengths[0] - lengths[1]) / (lengths[0] + lengths[1])
    a, b = (own[:, 1:] / length[:, None] for own, length in zip(sides, lengths, strict=True))
    found[:, 1:] = (a - b) / (a + b + 1)
    return found


def controlled(
    found: "pl.DataFrame", features: np.ndarray, names: Sequence[str] = FEATURES
) -> Controlled:
    """The win rate of ``model_b`` at equal features, by ``rank.fit_contextual``.

    Args:
        found: outcomes of one judge.
        features: [rows of ``found``, names].
        names: of the features; one that never differs is left out.
    """
    keep = found["value"].is_not_null().to_numpy()
    value, kept = found["value"].to_numpy()[keep], features[keep]
    used = [i for i in range(len(names)) if np.any(kept[:, i])]
    chosen = tuple(names[i] for i in used)
    prompts = found["id"].to_numpy()[keep]
    fold = {one: int(digest_of(one)[:8], 16) % _NUM_GROUPS for one in set(prompts)}
    folds = np.array([fold[one] for one in prompts])
    try:
        whole = _log_odds(value, kept[:, used], chosen)
        parts = [
            _log_odds(value[folds != i], kept[folds != i][:, used], chosen)
            for i in range(_NUM_GROUPS)
        ]
    except UndecidableError as error:
        return Controlled(chosen, problem=error.message)
    from scipy.special import expit, stdtrit

    # Of a jackknife over g groups: (g − 1) / g times the sum of squared deviations.
    deviations = np.array(parts) - np.mean(parts)
    error = np.sqrt((_NUM_GROUPS - 1) / _NUM_GROUPS * (deviations @ deviations))
    half = float(stdtrit(_NUM_GROUPS - 1, 0.975)) * error
    low, middle, high = (float(expit(x)) for x in (whole - half, whole, whole + half))
    return Controlled(chosen, middle, low, high)


def _log_odds(value: np.ndarray, features: np.ndarray, names: Sequence[str]) -> float:
    """Log-odds that ``model_b`` wins at equal features."""
    num = len(value)
    table = VoteTable(
        models=("A", "B"),
        a=np.zeros(num, np.int32),
        b=np.ones(num, np.int32),
        outcome=np.select([value == 0, value == 1], [0, 1], 2).astype(np.int8),
        count=np.ones(num),
        numbers={name: np.ascontiguousarray(features[:, i]) for i, name in enumerate(names)},
    )
    strength = fit_contextual(table, names).strength
    return float(strength[1] - strength[0])
