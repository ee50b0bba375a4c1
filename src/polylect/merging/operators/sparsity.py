"""Sparsifying differences from the base: by magnitude, at random, or at random by rank."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.rounding import round_to
from polylect.merging.arithmetic.stack import Stack, read_deltas, thread_buffer
from polylect.merging.operators.drop_masks import (
    bernoulli_mask,
    keep_probabilities,
    magnitude_mask,
)
from polylect.merging.operators.order_statistics import OrderStatistic, kth_smallest

_MODELS_AT_ONCE = 2
_TIES = "kept: equal to the trimming threshold, beyond the density"

Rescaling = Literal["keep", "l1", "none"]

Mask = Callable[[int, int, int, Floats], NDArray[np.bool_] | None]
"""For a model, start, stop and its deltas: which elements are kept; None for all of them."""


class Sparsifier(NamedTuple):
    """How the deltas of every model are sparsified.

    Attributes:
        mask: which elements are kept; it may scale the deltas.
        scales: factor for the kept elements of each model.
        counts: for the ledger: number by event.
        align: see ``Kernel``.
    """

    mask: Mask
    scales: Sequence[float]
    counts: dict[str, int]
    align: int = 1


def keep_all(stack: Stack) -> Sparsifier:
    """Keep every element."""
    return Sparsifier(lambda *_: None, [1.0] * stack.num_models, {})


def largest(stack: Stack, density: Sequence[float]) -> Sparsifier:
    """Keep the largest magnitudes of every model."""
    num = stack.num_elements
    num_kept = [
        0 if share <= 0 or not num else min(num, max(1, int(share * num))) for share in density
    ]
    ranks = [(num - kept + 1,) if 0 < kept < num else None for kept in num_kept]
    return _between_ranks(stack, ranks, num_kept)


def middle(stack: Stack, density: Sequence[float], gamma: Sequence[float]) -> Sparsifier:
    """Keep all but the largest and the smallest magnitudes of every model."""
    num = stack.num_elements
    ranks: list[tuple[int, ...] | None] = []
    num_kept: list[int] = []
    for share, top in zip(density, gamma, strict=True):
        target = num if share >= 1 else max(0, int(share * num))
        below = max(0, num - target - int(top * num))
        ranks.append((below + 1, below + target) if 0 < target < num else None)
        num_kept.append(target)
    return _between_ranks(stack, ranks, num_kept)


def _between_ranks(
    stack: Stack, ranks: Sequence[tuple[int, ...] | None], num_kept: Sequence[int]
) -> Sparsifier:
    """Keep the magnitudes from one rank to another (from 1), with all that are equal to them."""
    trimmed = [model for model, bounds in enumerate(ranks) if bounds is not None]
    if not trimmed and all(num == stack.num_elements for num in num_kept):
        return keep_all(stack)

    def statistics(models: Sequence[int]) -> list[list[OrderStatistic]]:
        def read(start: int, stop: int) -> list[Floats]:
            base = stack.base(start, stop)
            rows: list[Floats] = []
            for number, model in enumerate(models):
                row = thread_buffer(f"delta {number}", stop - start, stack.dtype)
                rows.append(round_to(stack.delta(model, start, stop, base, row), stack.parity))
            return rows

        return kth_smallest(stack, read, [list(ranks[model] or ()) for model in models])

    # Few models at a time: memory grows with those that are processed together.
    bounds: list[list[OrderStatistic]] = []
    for first in range(0, len(trimmed), _MODELS_AT_ONCE):
        bounds += statistics(trimmed[first : first + _MODELS_AT_ONCE])
    limits: dict[int, tuple[float, float]] = {}
    num_ties = 0
    for model, (low, *high) in zip(trimmed, bounds, strict=True):
        limits[model] = (low.value, high[0].value if high else math.inf)
        num_ties += low.before + (high[0].after if high else 0)

    def mask(model: int, start: int, stop: int, deltas: Floats) -> NDArray[np.bool_] | None:
        if model in limits:
            return magnitude_mask(stack, start, deltas, *limits[model])
        return None if num_kept[model] else np.zeros(stop - start, np.bool_)

    return Sparsifier(mask, [1.0] * stack.num_models, {_TIES: num_ties} if num_ties else {})


def drop_at_random(
    stack: Stack, density: Sequence[float], rescale: Rescaling, seed: int
) -> Sparsifier:
    """Keep elements at random, each with the same probability."""

    def mask(model: int, start: int, stop: int, _: Floats) -> NDArray[np.bool_] | None:
        if density[model] >= 1:
            return None
        return bernoulli_mask(stack, seed, model, start, stop, max(0.0, density[model]))

    scales = [1.0] * stack.num_models
    if rescale == "keep":
        scales = [1 / share if 0 < share < 1 else 1.0 for share in density]
    elif rescale == "l1" and any(share < 1 for share in density):
        scales = _l1_scales(stack, mask)
    return Sparsifier(mask, scales, {})


def drop_by_rank(
    stack: Stack, density: Sequence[float], epsilon: Sequence[float], rescale: Rescaling, seed: int
) -> Sparsifier:
    """Keep elements at random, the larger ones of a row with a higher probability."""
    check_spread(density, epsilon)

    def mask(model: int, start: int, stop: int, deltas: Floats) -> NDArray[np.bool_] | None:
        if density[model] >= 1:
            return None
        if density[model] <= 0:
            return np.zeros(stop - start, np.bool_)
        probabilities = keep_probabilities(stack, deltas, start, density[model], epsilon[model])
        kept = bernoulli_mask(stack, seed, model, start, stop, probabilities)
        if rescale == "keep":
            deltas /= probabilities.astype(deltas.dtype)
        return kept

    scales = [1.0] * stack.num_models
    if rescale == "l1" and any(share < 1 for share in density):
        scales = _l1_scales(stack, mask, stack.row_elements)
    return Sparsifier(mask, scales, {}, align=stack.row_elements)


def check_spread(density: Sequence[float], epsilon: Sequence[float]) -> None:
    """Refuse probabilities of ``drop_by_rank`` that are not between 0 and 1.

    Raises:
        InputError: names density and epsilon.
    """
    for share, spread in zip(density, epsilon, strict=True):
        if 0 < share < 1 and not (share - spread > 0 and share + spread < 1):
            raise InputError(
                f"della: density {share:g} ± epsilon {spread:g} leaves the range from 0 to 1",
                "use a smaller epsilon",
            )


def _l1_scales(stack: Stack, mask: Mask, align: int = 1) -> list[float]:
    """Factors that give the kept elements of each model the L1 norm of all its elements."""

    def sums(start: int, stop: int) -> NDArray[np.float64]:
        norms = np.zeros((stack.num_models, 2))
        for model, row in enumerate(read_deltas(stack, start, stop)[1]):
            magnitudes = np.abs(row, dtype=np.float64)
            kept = mask(model, start, stop, row)
            norms[model] = (
                magnitudes.sum(),
                (magnitudes if kept is None else magnitudes[kept]).sum(),
            )
        return norms

    step = max(align, 2**15 // align * align)
    total = sum(stack.map(sums, step), np.zeros((stack.num_models, 2)))
    if stack.parity == "BF16":  # mergekit's norms and their ratio have the type of the deltas
        total = round_to(total.astype(np.float32).reshape(-1), "BF16").reshape(-1, 2)
    scales = [
        before / after if before >= 1e-7 and after >= 1e-7 else 1.0 for before, after in total
    ]
    if stack.parity == "BF16":
        return round_to(np.array(scales, np.float32), "BF16").tolist()
    return scales
