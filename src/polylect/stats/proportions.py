"""Intervals of pass rates, which are often so near 1 that a symmetric interval would end beyond it.

One share has Wilson's interval (1927). A mean of shares of separate groups has the interval that
Zou and Donner (2008) put together from theirs (MOVER): it needs no normal distribution of a share
near its bound, and is never a point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval.

    Attributes:
        value: the share.
        lower: lower end.
        upper: upper end.
    """

    value: float
    lower: float
    upper: float


def wilson(value: float, num: int, level: float = 0.95) -> Share:
    """Wilson's interval of a share of ``num`` independent cases; the whole range for none."""
    if num == 0:
        return Share(value, 0.0, 1.0)
    from scipy.special import ndtri

    z2 = float(ndtri((1 + level) / 2)) ** 2
    middle = (value + z2 / (2 * num)) / (1 + z2 / num)
    inside = value * (1 - value) / num + z2 / (4 * num * num)
    half = math.sqrt(z2 * inside) / (1 + z2 / num)
    return Share(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)))


def mean_of(parts: Sequence[Share]) -> Share:
    """The mean of independent shares, each counting alike."""
    num = len(parts)
    value = math.fsum(one.value for one in parts) / num
    below = math.sqrt(math.fsum((one.value - one.lower) ** 2 for one in parts)) / num
    above = math.sqrt(math.fsum((one.upper - one.value) ** 2 for one in parts)) / num
    return Share(value, max(0.0, value - below), min(1.0, value + above))
