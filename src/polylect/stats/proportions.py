"""Intervals of proportions, which are often so near 1 that a symmetric interval ends beyond it.

A single proportion has Wilson's interval (1927). A mean of proportions of separate groups has the
interval that Zou and Donner (2008) combine from theirs (MOVER): it assumes no normal distribution
of a proportion near its bound, and is never a point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


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


def wilson_interval(value: float, num: float, level: float = 0.95) -> Proportion:
    """Wilson's interval of a proportion of ``num`` independent cases; 0 to 1 without cases.

    >>> interval = wilson_interval(0.9, 50)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.786, 0.957)
    """
    if num <= 0:
        return Proportion(value, 0.0, 1.0)
    z = two_sided_z(level)
    center = (value + z**2 / (2 * num)) / (1 + z**2 / num)
    variance = value * (1 - value) / num + z**2 / (4 * num**2)
    half_width = z * math.sqrt(variance) / (1 + z**2 / num)
    # At 0 and 1 the formula is exact but for rounding.
    return Proportion(
        value,
        min(value, max(0.0, center - half_width)),
        max(value, min(1.0, center + half_width)),
    )


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
