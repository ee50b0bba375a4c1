"""Outcomes of pairs: the verdicts in two orders make one, and a flip is a tie."""

from collections.abc import Iterable, Sequence

import polars as pl

from polylect.base import InputError
from polylect.rows import Judgment, Verdict

SCHEMA: dict[str, pl.DataType] = {
    "judge": pl.String(), "id": pl.String(), "language": pl.String(), "sample": pl.Int64(),
    "category": pl.String(), "origin": pl.String(), "verdict": pl.String(), "value": pl.Float64(),
    "verdicts": pl.Int64(), "flip": pl.Boolean(), "half": pl.Boolean(), "invalid": pl.Int64(),
    "abstained": pl.Int64(), "ties": pl.Int64(), "first": pl.Int64(), "decided": pl.Int64(),
}  # fmt: skip
NOT_ASKED = "not asked: the answers are equal, a tie"
"""The reason of a verdict that no judge gave."""

_VALUES = {Verdict.A: 0.0, Verdict.B: 1.0, Verdict.TIE: 0.5, Verdict.INVALID: None}


def combine_verdicts(verdicts: Sequence[Verdict]) -> tuple[Verdict, bool, bool]:
    """Outcome of one pair by one judge, whether it flipped, and whether one order was a tie.

    A win needs both orders (Zheng et al. 2023, section 3.4): two that contradict each other are a
    tie (a flip), and so are a win and a tie. An INVALID verdict makes the pair INVALID. A single
    verdict, of a person, is the outcome. BOTH_BAD is a tie.

    Args:
        verdicts: one or two, naming models and not positions.

    >>> combine_verdicts([Verdict.A, Verdict.B])
    (<Verdict.TIE: 'TIE'>, True, False)
    """
    merged = [Verdict.TIE if verdict is Verdict.BOTH_BAD else verdict for verdict in verdicts]
    if Verdict.INVALID in merged:
        return Verdict.INVALID, False, False
    if len(set(merged)) == 1:
        return merged[0], False, False
    flip = Verdict.TIE not in merged
    return Verdict.TIE, flip, not flip


def outcome_table(judgments: Iterable[Judgment]) -> pl.DataFrame:
    """A row per judge and pair, in the order of the judgments.

    Columns: judge, id, language, sample, category, origin, verdict, value (of ``model_b``: 1 won,
    0.5 tie, 0 lost; null for INVALID), flip, half (one order a tie, the other not); and counts of
    the single verdicts: verdicts (1 or 2; 0 if the answers were equal and nobody was asked),
    invalid, abstained (of these), ties, first (that preferred what was shown first) and decided
    (that preferred one).

    Raises:
        InputError: a judge judged a pair twice in one order, or the models differ.
    """
    pairs: dict[tuple[str, str, str, int], list[Judgment]] = {}
    models: tuple[str, str] | None = None
    for judgment in judgments:
        models = models or (judgment.model_a, judgment.model_b)
        if (judgment.model_a, judgment.model_b) != models:
            raise InputError(
                f"judgments of {judgment.model_a} and {judgment.model_b} beside those of"
                f" {models[0]} and {models[1]}",
                "give the judgments of one pair of models",
            )
        key = (judgment.judge, judgment.id, judgment.language, judgment.sample)
        orders = pairs.setdefault(key, [])
        if any(other.swapped == judgment.swapped for other in orders):
            raise InputError(
                f"{judgment.judge} judged sample {judgment.sample} of {judgment.id!r}"
                f" ({judgment.language}) twice in one order",
                "keep one verdict for each order",
            )
        orders.append(judgment)
    return pl.DataFrame([_outcome(orders) for orders in pairs.values()], schema=SCHEMA)


def _outcome(orders: Sequence[Judgment]) -> dict[str, object]:
    """The row of one pair, from the judgments of one judge in one or both orders."""
    first = orders[0]
    verdicts = [judgment.verdict for judgment in orders]
    outcome, flip, half = combine_verdicts(verdicts)
    was_asked = any(judgment.reason != NOT_ASKED for judgment in orders)
    decided = [judgment for judgment in orders if judgment.verdict in {Verdict.A, Verdict.B}]
    return {
        "judge": first.judge,
        "id": first.id,
        "language": first.language,
        "sample": first.sample,
        "category": first.category,
        "origin": first.origin,
        "verdict": str(outcome),
        "value": _VALUES[outcome],
        "verdicts": len(orders) if was_asked else 0,
        "flip": flip,
        "half": half,
        "invalid": verdicts.count(Verdict.INVALID),
        "abstained": sum(judgment.abstained for judgment in orders),
        "ties": was_asked * sum(verdict in {Verdict.TIE, Verdict.BOTH_BAD} for verdict in verdicts),
        "first": sum((judgment.verdict is Verdict.B) == judgment.swapped for judgment in decided),
        "decided": len(decided),
    }
