"""Maps between the points that an optimizer moves and weights that sum to 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, check_known
from polylect.checkpoints import Floats
from polylect.search.archive import Vector

Weights = Vector
"""One weight for each model, in their order; they sum to 1."""

MAPS = ("softmax", "abs", "signed")
_MAX_LOGIT = 6.0  # a softmax of -6 and 6 differs by a factor of 160,000: effectively 0
_MIN_SUM = 0.1


@dataclass(frozen=True, slots=True)
class WeightMap:
    """A map from R^n onto weights that sum to 1.

    ``softmax`` gives positive weights and starts at zeros. ``abs`` is ``|z| / sum |z|`` and starts
    at 1/n, as in mergekit-evolve. ``signed`` is ``z / sum z``: weights may be negative; where the
    positive and the negative part nearly cancel, a point has no weights.

    Attributes:
        name: one of ``MAPS``.
        num: number of weights.

    >>> WeightMap("abs", 2).weights([1.0, -3.0])
    (0.25, 0.75)
    """

    name: str
    num: int

    def __post_init__(self) -> None:
        check_known(self.name, MAPS, f"unknown weight map {self.name!r}", "choose from")
        if self.num < 2:
            raise InputError(f"a search needs two models or more, here {self.num}", "give more")

    @property
    def start(self) -> Floats:
        """The point of equal weights."""
        return np.full(self.num, 0.0 if self.name == "softmax" else 1.0 / self.num)

    @property
    def sigma(self) -> float:
        """A first step size: about a third of a weight, or a sixth as in mergekit-evolve."""
        return 0.3 if self.name == "softmax" else 1 / 6

    @property
    def box(self) -> tuple[float, float]:
        """Lowest and highest coordinate, for an optimizer that needs bounds."""
        if self.name == "softmax":
            return -_MAX_LOGIT, _MAX_LOGIT
        return (-1.0 if self.name == "signed" else 0.0), 1.0

    def weights(self, point: Floats | Sequence[float]) -> Weights | None:
        """The weights of a point, or None if it has none."""
        z = np.asarray(point, np.float64)
        if self.name == "softmax":
            parts = np.exp(z - z.max())
        elif self.name == "abs":
            parts = np.abs(z)
        else:
            parts = z
        total, abs_total = math.fsum(parts), math.fsum(np.abs(parts))
        if not abs_total > 0 or total < _MIN_SUM * abs_total:
            return None
        return tuple(float(weight) for weight in parts / total)

    def point(self, weights: Sequence[float]) -> Floats:
        """A point in the box with (nearly) these weights; a softmax never reaches 0."""
        values = np.asarray(weights, np.float64)
        if self.name == "softmax":
            logits = np.log(np.maximum(values, 1e-300) / values.max())
            # A softmax is invariant to shifts: center the logits in the box.
            logits = np.maximum(logits, -2 * _MAX_LOGIT)
            return logits - (logits.max() + logits.min()) / 2
        return values / np.abs(values).max()


def equal_weights(members: Sequence[int], num: int) -> Weights:
    """The same weight for every member of a pool of ``num``, 0 for the others.

    >>> equal_weights([0, 2], 3)
    (0.5, 0.0, 0.5)
    """
    return tuple(1.0 / len(members) if number in members else 0.0 for number in range(num))
