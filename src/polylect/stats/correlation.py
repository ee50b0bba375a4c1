"""Rank correlation of two columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        rho: from -1 to 1; None with fewer than three pairs, or where one side is constant.
        p: two-sided p-value; None where there is no rho.
        num: number of pairs.
    """

    rho: float | None
    p: float | None
    num: int


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Spearman's rank correlation of two columns; pairs that are not finite are left out."""
    from scipy.stats import spearmanr

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a + b)]
    columns = np.array(pairs).T if pairs else np.empty((2, 0))
    if len(pairs) < 3 or any(len(set(column)) < 2 for column in columns.tolist()):
        return Correlation(None, None, len(pairs))
    result = spearmanr(columns[0], columns[1])
    return Correlation(float(result.statistic), float(result.pvalue), len(pairs))
