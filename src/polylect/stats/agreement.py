"""Agreement beyond chance: Cohen's kappa, Krippendorff's alpha, nominal and ordinal."""

from collections.abc import Hashable, Sequence

import numpy as np


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two judges; NaN if there are no cases or chance agreement is 1.

    Source: Cohen 1960.

    Args:
        first: verdicts of one judge.
        second: verdicts of the other on the same cases, in the same order.

    >>> cohen_kappa(["A", "A", "B", "B"], ["A", "A", "B", "A"])
    0.5
    """
    assert len(first) == len(second), "not the same cases"
    if not first:
        return float("nan")
    codes = {label: code for code, label in enumerate(sorted({*first, *second}, key=str))}
    table = np.zeros((len(codes), len(codes)))
    np.add.at(table, ([codes[x] for x in first], [codes[y] for y in second]), 1.0)
    table /= table.sum()
    chance = float(table.sum(axis=0) @ table.sum(axis=1))
    return (float(np.trace(table)) - chance) / (1 - chance) if chance < 1 else float("nan")


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float:
    """Cohen's weighted kappa with squared differences; NaN if there are no cases or all are equal.

    Source: Cohen 1968.

    Args:
        first: scores of one judge.
        second: scores of the other on the same cases, in the same order.

    >>> weighted_kappa([1, 2, 3], [1, 2, 3])
    1.0
    """
    if not len(first):
        return float("nan")
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    observed = float(((x - y) ** 2).mean())
    expected = float(((x[:, None] - y[None, :]) ** 2).mean())
    return 1 - observed / expected if expected else float("nan")


def krippendorff_alpha(
    cases: Sequence[Sequence[Hashable]], order: Sequence[Hashable] | None = None
) -> float:
    """Krippendorff's alpha, nominal, or ordinal if ``order`` is given.

    NaN if no case has two verdicts, or if all verdicts are the same, so that chance could not
    disagree.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C (coincidence matrix)
    and D (the ordinal difference: how many values lie between two ranks).

    Args:
        cases: verdicts on each case, one per judge; their number may differ between cases.
        order: all possible verdicts from lowest to highest.

    >>> round(krippendorff_alpha([["A", "A"], ["B", "B"], ["A", "B"]]), 3)
    0.444
    """
    labels = list(order or sorted({label for case in cases for label in case}, key=str))
    codes = {label: code for code, label in enumerate(labels)}
    coincidence = np.zeros((len(labels), len(labels)))
    for case in cases:
        if len(case) < 2:
            continue
        count = np.bincount([codes[label] for label in case], minlength=len(labels)).astype(float)
        coincidence += (np.outer(count, count) - np.diag(count)) / (len(case) - 1)
    margin = coincidence.sum(axis=0)
    distance = 1.0 - np.eye(len(labels)) if order is None else _ordinal_distance(margin)
    expected = float((np.outer(margin, margin) * distance).sum())
    if not expected:
        return float("nan")
    observed = float((coincidence * distance).sum())
    return 1 - (float(margin.sum()) - 1) * observed / expected


def _ordinal_distance(margin: np.ndarray) -> np.ndarray:
    """Squared number of values between two ranks, half of those at the ranks themselves."""
    middle = np.cumsum(margin) - margin / 2
    return (middle[:, None] - middle[None, :]) ** 2
