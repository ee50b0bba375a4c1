"""Length and Markdown of answers: a judge that only counts them, and win rates at equal style.

Length is counted in tokens of one fixed tokenizer, or in characters: both sides of a pair are in
one language, so that a character means the same on both. Markdown is what arena-hard-auto counts:
headers, list items and bold words, per unit of length.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylect.base import UndecidableError, digest_of
from polylect.judging.pairs import AnswerPair
from polylect.ranking import ELO_PER_NAT, VoteTable, fit_contextual
from polylect.rows import Generated, Judgment, Verdict

STYLE_FEATURES = ("length", "headers", "lists", "bold")
LONGER_ANSWER = "the longer answer"
"""Name of the judge without a model."""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKDOWN = (
    re.compile(r"^#{1,6}\s", re.MULTILINE),
    re.compile(r"^\s*(?:[-*+]|\d+[.)])\s", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
)
_NUM_GROUPS = 20

LengthOf = Callable[[str], int]
"""Length of a text."""


@dataclass(frozen=True, slots=True)
class ControlledWinRate:
    """A win rate at equal features.

    Attributes:
        features: what was held equal.
        win_rate: of ``model_b``.
        lower: lower bound of a 95 % interval: a jackknife over 20 groups of prompts, or the error
            of the fit (``ranking.fit_contextual``) where that is larger.
        upper: upper bound.
        problem: why there is none; empty if there is one.
    """

    features: tuple[str, ...]
    win_rate: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    problem: str = ""


def longer_answer_judgments(
    pairs: Sequence[AnswerPair], names: tuple[str, str], length: LengthOf
) -> list[Judgment]:
    """The judge who needs no model: the longer answer wins; equal lengths are a tie.

    A real judge must do better than that.
    """
    judgments = []
    for pair in pairs:
        a, b = length(pair.a.answer), length(pair.b.answer)
        verdict = Verdict.TIE if a == b else Verdict.A if a > b else Verdict.B
        judgments.append(pair.judgment(names, LONGER_ANSWER, verdict))
    return judgments


def style_of_answer(text: str, length: LengthOf) -> tuple[int, int, int, int]:
    r"""Length, headers, list items and bold words; Markdown in fenced code is not counted.

    >>> style_of_answer("# Title\n- **bold** item", len)
    (23, 1, 1, 1)
    """
    without_code = _CODE.sub("", text)
    headers, lists, bold = (len(pattern.findall(without_code)) for pattern in _MARKDOWN)
    return length(text), headers, lists, bold


def style_differences(pairs: Sequence[AnswerPair], length: LengthOf) -> np.ndarray:
    """Features of ``model_a`` minus ``model_b``, as arena-hard-auto takes them [pairs, 4].

    Lengths as (a − b) / (a + b); the others as densities per unit of length, (a − b) / (a + b + 1).
    """

    def styles(answers: Sequence[Generated]) -> np.ndarray:
        rows = [style_of_answer(answer.answer, length) for answer in answers]
        return np.array(rows, np.float64).reshape(-1, len(STYLE_FEATURES))

    styles_a, styles_b = styles([pair.a for pair in pairs]), styles([pair.b for pair in pairs])
    length_a, length_b = np.maximum(styles_a[:, 0], 1.0), np.maximum(styles_b[:, 0], 1.0)
    a, b = styles_a[:, 1:] / length_a[:, None], styles_b[:, 1:] / length_b[:, None]
    differences = np.empty((len(pairs), len(STYLE_FEATURES)))
    differences[:, 0] = (length_a - length_b) / (length_a + length_b)
    differences[:, 1:] = (a - b) / (a + b + 1)
    return differences


def controlled_win_rate(
    outcomes: pl.DataFrame, features: np.ndarray, names: Sequence[str] = STYLE_FEATURES
) -> ControlledWinRate:
    """The win rate of ``model_b`` at equal features, by ``ranking.fit_contextual``.

    Args:
        outcomes: of one judge.
        features: [rows of ``outcomes``, names].
        names: of the features; one that never differs is left out.
    """
    valid = outcomes["value"].is_not_null().to_numpy()
    value, features = outcomes["value"].to_numpy()[valid], features[valid]
    used = [i for i in range(len(names)) if np.any(features[:, i])]
    used_names = tuple(names[i] for i in used)
    prompts = outcomes["id"].to_numpy()[valid]
    group_of = {prompt: int(digest_of(prompt)[:8], 16) % _NUM_GROUPS for prompt in set(prompts)}
    groups = np.array([group_of[prompt] for prompt in prompts])
    try:
        whole, fit_error = _log_odds(value, features[:, used], used_names)
        without_group = [
            _log_odds(value[groups != i], features[groups != i][:, used], used_names)[0]
            for i in range(_NUM_GROUPS)
        ]
    except UndecidableError as error:
        return ControlledWinRate(used_names, problem=error.message)
    from scipy.special import expit, stdtrit

    # Jackknife over g groups: (g − 1) / g times the sum of squared deviations.
    deviations = np.array(without_group) - np.mean(without_group)
    error = np.sqrt((_NUM_GROUPS - 1) / _NUM_GROUPS * (deviations @ deviations))
    half_width = float(stdtrit(_NUM_GROUPS - 1, 0.975)) * max(float(error), fit_error)
    lower, center, upper = (
        float(expit(x)) for x in (whole - half_width, whole, whole + half_width)
    )
    return ControlledWinRate(used_names, center, lower, upper)


def _log_odds(value: np.ndarray, features: np.ndarray, names: Sequence[str]) -> tuple[float, float]:
    """Log-odds that ``model_b`` wins at equal features, and their standard error."""
    num = len(value)
    table = VoteTable(
        models=("A", "B"),
        a=np.zeros(num, np.int32),
        b=np.ones(num, np.int32),
        outcome=np.select([value == 0, value == 1], [0, 1], 2).astype(np.int8),
        count=np.ones(num),
        numbers={name: np.ascontiguousarray(features[:, i]) for i, name in enumerate(names)},
    )
    fit = fit_contextual(table, names)
    error = float(fit.difference_error[1, 0]) / ELO_PER_NAT
    return float(fit.strength[1] - fit.strength[0]), error
