"""From what an optimizer moves to merge weights that sum to 1, and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, did_you_mean
from polylect.checkpoints import Floats

Weights = tuple[float, ...]
"""One merge weight for each model, in their order; they sum to 1."""

MAPS = ("softmax", "abs", "signed")
_LARGEST_LOGIT = 6.0  # a softmax of -6 and 6 differs by 160,000: beyond that a weight is 0
_LEAST_SUM = 0.1


@dataclass(frozen=True, slots=True)
class WeightMap:
    """A map from R^n onto weights that sum to 1.

    ``softmax`` gives weights above 0 and starts at zeros. ``abs`` is ``|z| / sum |z|`` and starts
    at 1/n, as mergekit-evolve has it. ``signed`` is ``z / sum z``: weights may be negative; where
    the positive and the negative part nearly cancel there are no weights.

    Attributes:
        name: one of ``MAPS``.
        num: number of models.
    """

    name: str
    num: int

    def __post_init__(self) -> None:
        if self.name not in MAPS:
            hint = did_you_mean(self.name, MAPS) or f"choose from {', '.join(MAPS)}"
            raise InputError(f"unknown weight map {self.name!r}", hint)
        if self.num < 2:
            raise InputError(f"a search needs two models or more, here {self.num}", "give more")

    @property
    def start(self) -> Floats:
        """The point of equal weights."""
        return np.full(self.num, 0.0 if self.name == "softmax" else 1.0 / self.num)

    @property
    def sigma(self) -> float:
        """A first step size: about a third of a weight, or mergekit-evolve's sixth."""
        return 0.3 if self.name == "softmax" else 1 / 6

    @property
    def box(self) -> tuple[float, float]:
        """Lowest and highest coordinate for an optimizer that needs bounds."""
        if self.name == "softmax":
            return -_LARGEST_LOGIT, _LARGEST_LOGIT
        return (-1.0 if self.name == "signed" else 0.0), 1.0

    def weights(self, point: Floats | Sequence[float]) -> Weights | None:
        """The weights of a point; None where it has none."""
        z = np.asarray(point, np.float64)
        if self.name == "softmax":
            parts = np.exp(z - z.max())
        elif self.name == "abs":
            parts = np.abs(z)
        else:
            parts = z
        total, size = math.fsum(parts), math.fsum(np.abs(parts))
        if not size > 0 or total < _LEAST_SUM * size:
            return None
        return tuple(float(one) for one in parts / total)

    def point(self, weights: Sequence[float]) -> Floats:
        """A point of the box with (nearly) these weights; a softmax reaches 0 only nearly."""
        values = np.asarray(weights, np.float64)
        if self.name == "softmax":
            logits = np.log(np.maximum(values, 1e-300) / values.max())
            # The middle of the box for the spread that there is: softmax is blind to a shift.
            logits = np.maximum(logits, -2 * _LARGEST_LOGIT)
            return logits - (logits.max() + logits.min()) / 2
        return values / np.abs(values).max()


def equal_weights(members: Sequence[int], num: int) -> Weights:
    """The same weight for every member, 0 for the others."""
    return tuple(1.0 / len(members) if one in members else 0.0 for one in range(num))
