"""Intervals of proportions, which are often so near 1 that a symmetric interval ends beyond it.

A single proportion has Wilson's interval (1927). A mean of proportions of separate groups has the
interval that Zou and Donner (2008) combine from theirs (MOVER): it assumes no normal distribution
of a proportion near its bound, and is never a point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Proportion:
    """A proportion with its interval.

    Attributes:
        value: the proportion.
        lower: lower bound.
        upper: upper bound.
    """

    value: float
    lower: float
    upper: float


def two_sided_z(level: float) -> float:
    """Half-width of a two-sided normal interval, in standard errors.

    >>> round(two_sided_z(0.95), 2)
    1.96
    """
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2.0))


def score_bounds(
    mean: np.ndarray, num: np.ndarray, critical: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of Wilson's interval for shares of ``num`` items, each [N].

    Args:
        mean: shares [N].
        num: effective numbers of items; 0 gives 0 to 1 [N].
        critical: half-width of the test in standard errors; infinite gives 0 to 1.

    >>> [end.round(3).tolist() for end in score_bounds(np.array([0.0]), np.array([5.0]), 1.96)]
    [[0.0], [0.434]]
    """
    num, square = np.asarray(num, np.float64), np.square(np.asarray(critical, np.float64))
    known = (num > 0) & np.isfinite(square)
    num, square = np.where(known, num, 1.0), np.where(known, square, 0.0)
    shrunk = 1.0 + square / num
    center = (mean + square / (2.0 * num)) / shrunk
    variance = np.maximum(mean * (1.0 - mean), 0.0) / num + square / (4.0 * num**2)
    half_width = np.sqrt(square * variance) / shrunk
    # At 0 and 1 the formula is exact but for rounding.
    lower = np.minimum(mean, np.maximum(center - half_width, 0.0))
    upper = np.maximum(mean, np.minimum(center + half_width, 1.0))
    return np.where(known, lower, 0.0), np.where(known, upper, 1.0)


def wilson_interval(value: float, num: float, level: float = 0.95) -> Proportion:
    """Wilson's interval of a proportion of ``num`` independent cases; 0 to 1 without cases.

    >>> interval = wilson_interval(0.9, 50)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.786, 0.957)
    """
    lower, upper = score_bounds(np.array([value]), np.array([num]), two_sided_z(level))
    return Proportion(value, float(lower[0]), float(upper[0]))


def mean_proportion(parts: Sequence[Proportion]) -> Proportion:
    """The unweighted mean of independent proportions, with its interval.

    >>> parts = [wilson_interval(1.0, 20), wilson_interval(0.8, 20)]
    >>> round(mean_proportion(parts).lower, 3)
    0.765
    """
    num = len(parts)
    value = math.fsum(part.value for part in parts) / num
    below = math.sqrt(math.fsum((part.value - part.lower) ** 2 for part in parts)) / num
    above = math.sqrt(math.fsum((part.upper - part.value) ** 2 for part in parts)) / num
    return Proportion(value, max(0.0, value - below), min(1.0, value + above))
