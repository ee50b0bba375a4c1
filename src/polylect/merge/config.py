"""What merging is told; plain dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearConfig:
    """A linear merge: the weighted sum of checkpoints.

    Attributes:
        weights: one for each model, in their order; None for all the same.
        normalise: divide by the sum of the weights, so that 0.1 and 1.0 mean one part in eleven.
    """

    weights: tuple[float, ...] | None = None
    normalise: bool = True
