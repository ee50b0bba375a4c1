"""Thinning out differences: by magnitude, at random, or at random by rank."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.rounding import round_to
from polylect.merging.arithmetic.stack import Stack, buffer, deltas_of
from polylect.merging.operators.drop_masks import draw, keep_range, rank_probabilities
from polylect.merging.operators.order_statistics import Ranked, kth_smallest

_TOGETHER = 2
_TIES = "kept: equal to the trimming threshold, beyond the density"

Mask = Callable[[int, int, int, Floats], NDArray[np.bool_] | None]
"""For a model and a block of its deltas, what is kept; None for all."""


class Sparse(NamedTuple):
    """How the deltas of every model are thinned out."""

    mask: Mask
    scales: Sequence[float]
    counts: dict[str, int]
    align: int = 1


def everything(stack: Stack) -> Sparse:
    """Nothing is left out."""
    return Sparse(lambda *_: None, [1.0] * stack.num_models, {})


def trimmed(stack: Stack, density: Sequence[float]) -> Sparse:
    """The largest magnitudes of every model."""
    num = stack.num_elements
    kept = [0 if one <= 0 or not num else min(num, max(1, int(one * num))) for one in density]
    bounds = [(num - one + 1,) if 0 < one < num else None for one in kept]
    return _bounded(stack, bounds, kept)


def middle(stack: Stack, density: Sequence[float], gamma: Sequence[float]) -> Sparse:
    """All but the largest and the smallest magnitudes of every model."""
    num = stack.num_elements
    bounds: list[tuple[int, ...] | None] = []
    kept: list[int] = []
    for share, top in zip(density, gamma, strict=True):
        target = num if share >= 1 else max(0, int(share * num))
        below = max(0, num - target - int(top * num))
        bounds.append((below + 1, below + target) if 0 < target < num else None)
        kept.append(target)
    return _bounded(stack, bounds, kept)


def _bounded(stack: Stack, bounds: Sequence[tuple[int, ...] | None], kept: Sequence[int]) -> Sparse:
    """Keeps what lies from one rank to another (from 1, by magnitude); all that are equal stay."""
    trimmed = [model for model, one in enumerate(bounds) if one is not None]
    if not trimmed and all(one == stack.num_elements for one in kept):
        return everything(stack)

    def measured(models: Sequence[int]) -> list[list[Ranked]]:
        def measure(start: int, stop: int) -> list[Floats]:
            base = stack.base(start, stop)
            rows: list[Floats] = []
            for place, model in enumerate(models):
                row = buffer(f"delta {place}", stop - start, stack.dtype)
                rows.append(round_to(stack.delta(model, start, stop, base, row), stack.parity))
            return rows

        return kth_smallest(stack, measure, [list(bounds[model] or ()) for model in models])

    # Few models at a time: samples and counts are of all that are measured together.
    found: list[list[Ranked]] = []
    for first in range(0, len(trimmed), _TOGETHER):
        found += measured(trimmed[first : first + _TOGETHER])
    limits: dict[int, tuple[float, float]] = {}
    more = 0
    for model, some in zip(trimmed, found, strict=True):
        limits[model] = (some[0].value, some[1].value if len(some) > 1 else math.inf)
        more += some[0].before + (some[1].after if len(some) > 1 else 0)

    def mask(model: int, start: int, stop: int, deltas: Floats) -> NDArray[np.bool_] | None:
        if model in limits:
            return keep_range(stack, start, deltas, *limits[model])
        return None if kept[model] else np.zeros(stop - start, np.bool_)

    return Sparse(mask, [1.0] * stack.num_models, {_TIES: more} if more else {})


def dropped(stack: Stack, density: Sequence[float], rescale: str, seed: int) -> Sparse:
    """Elements kept at random, each with the same probability."""
    _check_rescale(rescale)

    def mask(model: int, start: int, stop: int, _: Floats) -> NDArray[np.bool_] | None:
        if density[model] >= 1:
            return None
        return draw(stack, seed, model, start, stop, max(0.0, density[model]))

    scales = [1.0] * stack.num_models
    if rescale == "keep":
        scales = [1 / one if 0 < one < 1 else 1.0 for one in density]
    elif rescale == "l1" and any(one < 1 for one in density):
        scales = _same_sums(stack, mask)
    return Sparse(mask, scales, {})


def ranked(
    stack: Stack, density: Sequence[float], epsilon: Sequence[float], rescale: str, seed: int
) -> Sparse:
    """Elements kept at random, the larger ones of a row more probably."""
    _check_rescale(rescale)
    for share, spread in zip(density, epsilon, strict=True):
        if 0 < share < 1 and not (share - spread > 0 and share + spread < 1):
            raise InputError(
                f"della: density {share:g} ± epsilon {spread:g} leaves the range from 0 to 1",
                "use a smaller epsilon",
            )

    def mask(model: int, start: int, stop: int, deltas: Floats) -> NDArray[np.bool_] | None:
        if density[model] >= 1:
            return None
        if density[model] <= 0:
            return np.zeros(stop - start, np.bool_)
        chances = rank_probabilities(stack, deltas, start, density[model], epsilon[model])
        kept = draw(stack, seed, model, start, stop, chances)
        if rescale == "keep":
            deltas /= chances.astype(deltas.dtype)
        return kept

    scales = [1.0] * stack.num_models
    if rescale == "l1" and any(one < 1 for one in density):
        scales = _same_sums(stack, mask, stack.row)
    return Sparse(mask, scales, {}, align=stack.row)


def _same_sums(stack: Stack, mask: Mask, align: int = 1) -> list[float]:
    """For every model, what gives the kept elements the sum of magnitudes that all had."""

    def sums(start: int, stop: int) -> NDArray[np.float64]:
        found = np.zeros((stack.num_models, 2))
        for model, row in enumerate(deltas_of(stack, start, stop)[1]):
            sizes = np.abs(row, dtype=np.float64)
            kept = mask(model, start, stop, row)
            found[model] = sizes.sum(), (sizes if kept is None else sizes[kept]).sum()
        return found

    step = max(align, 2**15 // align * align)
    total = sum(stack.map(sums, step), np.zeros((stack.num_models, 2)))
    return [before / after if before >= 1e-7 and after >= 1e-7 else 1.0 for before, after in total]


def _check_rescale(rescale: str) -> None:
    if rescale not in {"keep", "l1", "none"}:
        raise InputError(f"rescale is {rescale!r}", "choose from keep, l1, none")
