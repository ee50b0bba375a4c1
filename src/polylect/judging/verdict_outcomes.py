"""From verdicts to outcomes: two orders make one, and a flip is a tie."""

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

_VALUE = {Verdict.A: 0.0, Verdict.B: 1.0, Verdict.TIE: 0.5, Verdict.INVALID: None}


def outcome_of(verdicts: Sequence[Verdict]) -> tuple[Verdict, bool, bool]:
    """Outcome of one pair by one judge, whether it flipped, and whether one order was a tie.

    A win needs both orders (Zheng et al. 2023, section 3.4): two that contradict each other are a
    tie (a flip), and so are a win and a tie. One that is INVALID makes the pair INVALID: half a
    judgment is none. A single verdict, of a person, stands for itself. BOTH_BAD is a tie.

    Args:
        verdicts: one or two, on the models and not on the places.
    """
    plain = [Verdict.TIE if one is Verdict.BOTH_BAD else one for one in verdicts]
    if Verdict.INVALID in plain:
        return Verdict.INVALID, False, False
    if len(set(plain)) == 1:
        return plain[0], False, False
    flip = Verdict.TIE not in plain
    return Verdict.TIE, flip, not flip


def outcomes(judgments: Iterable[Judgment]) -> pl.DataFrame:
    """A row per judge and pair, in the order of the judgments.

    Columns: judge, id, language, sample, category, origin, verdict, value (of ``model_b``: 1 won,
    0.5 tie, 0 lost; null for INVALID), flip, half (one order a tie, the other not); and of the
    single verdicts: their number (1 or 2; 0 where the answers were equal and nobody was asked),
    invalid, abstained (of these), ties, first (that preferred what was shown first) and decided
    (that preferred one).

    Raises:
        InputError: a judge judged a pair twice in one order, or the models differ.
    """
    groups: dict[tuple[str, str, str, int], list[Judgment]] = {}
    models: tuple[str, str] | None = None
    for one in judgments:
        models = models or (one.model_a, one.model_b)
        if (one.model_a, one.model_b) != models:
            raise InputError(
                f"judgments of {one.model_a} and {one.model_b} beside those of"
                f" {models[0]} and {models[1]}",
                "give the judgments of one pair of models",
            )
        own = groups.setdefault((one.judge, one.id, one.language, one.sample), [])
        if any(other.swapped == one.swapped for other in own):
            raise InputError(
                f"{one.judge} judged sample {one.sample} of {one.id!r} ({one.language}) twice in"
                " one order",
                "keep one verdict for each order",
            )
        own.append(one)
    rows = []
    for (judge, id_, language, sample), own in groups.items():
        verdict, flip, half = outcome_of([one.verdict for one in own])
        asked = any(one.reason != NOT_ASKED for one in own)
        decided = [one for one in own if one.verdict in {Verdict.A, Verdict.B}]
        rows.append(
            {
                "judge": judge,
                "id": id_,
                "language": language,
                "sample": sample,
                "category": own[0].category,
                "origin": own[0].origin,
                "verdict": str(verdict),
                "value": _VALUE[verdict],
                "verdicts": len(own) if asked else 0,
                "flip": flip,
                "half": half,
                "invalid": sum(one.verdict is Verdict.INVALID for one in own),
                "abstained": sum(one.abstained for one in own),
                "ties": asked * sum(one.verdict in {Verdict.TIE, Verdict.BOTH_BAD} for one in own),
                "first": sum((one.verdict is Verdict.B) == one.swapped for one in decided),
                "decided": len(decided),
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def turned(judgment: Judgment, models: tuple[str, str]) -> Judgment:
    """The same judgment with the models in a given order.

    Raises:
        InputError: it is of other models.
    """
    from dataclasses import replace

    if (judgment.model_a, judgment.model_b) == models:
        return judgment
    if (judgment.model_b, judgment.model_a) != models:
        raise InputError(
            f"a judgment of {judgment.model_a} and {judgment.model_b}, not of {models[0]} and"
            f" {models[1]}",
            "give judgments of the same two models",
        )
    return replace(
        judgment,
        model_a=models[0],
        model_b=models[1],
        verdict=judgment.verdict.swapped(),
        swapped=not judgment.swapped,
    )


__all__ = ["SCHEMA", "outcome_of", "outcomes", "turned"]
