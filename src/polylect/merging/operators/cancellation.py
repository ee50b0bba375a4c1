"""Weights that cancel: whether a sum of weights can be divided by."""

import math
from collections.abc import Sequence
from functools import lru_cache

from polylect.base import InputError

_ROUNDING = 1e-6  # of the sum of magnitudes; 0.1 + 0.2 - 0.3 is not 0 in floats, only its error
_MAX_MODELS = 16  # all their subsets are tried


def cancels(weights: Sequence[float]) -> bool:
    """Whether weights sum to 0, or to so small a part of their magnitudes that rounding decides.

    >>> cancels([0.1, 0.2, -0.3]), cancels([1e-9, 2e-9]), cancels([])
    (True, False, True)
    """
    return abs(math.fsum(weights)) <= _ROUNDING * math.fsum(map(abs, weights))


def check_normalizable(weights: Sequence[float]) -> None:
    """Refuse weights that cannot be divided by their sum.

    Raises:
        InputError: they cancel; names them.
    """
    if cancels(weights):
        listed = ", ".join(f"{weight:g}" for weight in weights)
        raise InputError(
            f"weights {listed} sum to {math.fsum(weights):g} and cannot be normalized",
            "change a weight, or set normalize to false (--normalize false; in a recipe,"
            " normalize: false below parameters)",
        )


@lru_cache(maxsize=256)
def canceling_subsets(weights: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """The subsets of two or more weights, none of them 0, that cancel; in no particular order.

    Of more than 16 models only the whole is looked at.
    """
    weights = tuple(weight for weight in weights if weight)
    if min(weights, default=0.0) >= 0 or max(weights, default=0.0) <= 0:
        return ()
    if len(weights) > _MAX_MODELS:
        return (weights,) if cancels(weights) else ()
    subsets: list[tuple[float, ...]] = [()]
    for weight in weights:
        subsets += [(*subset, weight) for subset in subsets]
    return tuple(subset for subset in subsets if len(subset) > 1 and cancels(subset))
