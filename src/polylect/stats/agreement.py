"""Agreement beyond chance: Cohen's kappa, Krippendorff's alpha, nominal and ordinal."""

from collections.abc import Hashable, Sequence

import numpy as np


def kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Cohen's kappa (1960) of two judges on the same cases; NaN where chance agrees always.

    Args:
        one: verdicts.
        other: the other judge's, in the same order.
    """
    assert len(one) == len(other), "not the same cases"
    if not one:
        return float("nan")
    names = sorted({*one, *other}, key=str)
    code = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    np.add.at(table, ([code[x] for x in one], [code[x] for x in other]), 1.0)
    table /= table.sum()
    chance = float(table.sum(axis=0) @ table.sum(axis=1))
    return (float(np.trace(table)) - chance) / (1 - chance) if chance < 1 else float("nan")


def krippendorff(
    cases: Sequence[Sequence[Hashable]], order: Sequence[Hashable] | None = None
) -> float:
    """Krippendorff's alpha, nominal, or ordinal where an order is given; NaN where no case was
    judged twice or all agree on one verdict throughout, so that chance could not disagree.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C (coincidence matrix) and D
    (the ordinal difference: how many values lie between two ranks).

    Args:
        cases: the verdicts on each case, by whoever judged it; how many may differ.
        order: all possible verdicts from lowest to highest.
    """
    names = list(order or sorted({name for case in cases for name in case}, key=str))
    code = {name: i for i, name in enumerate(names)}
    coincidence = np.zeros((len(names), len(names)))
    for case in cases:
        if len(case) < 2:
            continue
        count = np.bincount([code[name] for name in case], minlength=len(names)).astype(float)
        coincidence += (np.outer(count, count) - np.diag(count)) / (len(case) - 1)
    margin = coincidence.sum(axis=0)
    apart = 1.0 - np.eye(len(names)) if order is None else _ranks_apart(margin)
    expected = float((np.outer(margin, margin) * apart).sum())
    if not expected:
        return float("nan")
    observed = float((coincidence * apart).sum())
    return 1 - (float(margin.sum()) - 1) * observed / expected


def _ranks_apart(margin: np.ndarray) -> np.ndarray:
    """Squared ordinal differences: values between two ranks, the two themselves half."""
    upto = np.cumsum(margin)
    middle = upto - margin / 2
    return (middle[:, None] - middle[None, :]) ** 2
