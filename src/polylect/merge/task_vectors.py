"""Operators on differences from a base: what is kept of each, which sign wins, how much is added.

All of them compute ``base + lambda * mix(weight_i * sparse(model_i - base))`` in float32 and round
once. In the parity mode every step is rounded to the type mergekit computes in.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError
from polylect.checkpoints import Floats
from polylect.merge.operators import ONE, Kernel, PerModel, operator, scratch
from polylect.merge.rounding import round_to
from polylect.merge.stack import Stack, buffer
from polylect.merge.trimming import draw, keep_range, kth_smallest, rank_probabilities

_TIES = "kept: equal to the trimming threshold, beyond the density"

Mask = Callable[[int, int, int, Floats], NDArray[np.bool_] | None]
"""For a model and a block of its deltas, what is kept; None for all."""


class Sparse(NamedTuple):
    """How the deltas of every model are thinned out."""

    mask: Mask
    scales: Sequence[float]
    counts: dict[str, int]
    align: int = 1


@operator(base="required")
def task_arithmetic(
    stack: Stack, *, weight: PerModel = ONE, lambda_: float = 1.0, normalize: bool = False
) -> Kernel:
    """The base plus the weighted sum of differences. Source: Ilharco et al. 2023, section 2."""
    return _mix(stack, _everything(stack), weight, lambda_, normalize, consensus=False)


@operator(base="required")
def ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = True,
) -> Kernel:
    """Trim, elect the sign of the weighted sum, average what agrees with it.

    Trimming keeps every element whose magnitude is at least that of the ``density * n``-th largest
    (rounded down, one at the least): of equal magnitudes all are kept, so no place in the tensor is
    favoured; how many more that is goes to the ledger. A sum of 0 counts as positive.
    Source: Yadav et al. 2023, "TIES-Merging", section 3.
    """
    return _mix(stack, _trimmed(stack, density), weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def dare_linear(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """Drop at random, rescale, add up. Source: Yu et al. 2024, "DARE", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: probability of keeping an element.
        lambda_: factor of the sum.
        normalize: divide by the sum of the weights.
        rescale: ``keep`` divides by the density (the paper), ``l1`` restores the sum of magnitudes
            (mergekit), ``none`` does neither.
        seed: of the draws.
    """
    sparse = _dropped(stack, density, rescale, seed)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required", random=True)
def dare_ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """``dare_linear``'s draws, then the sign election of ``ties``."""
    sparse = _dropped(stack, density, rescale, seed)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    epsilon: PerModel = (0.15,),
    lambda_: float = 1.0,
    normalize: bool = True,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """Draws that favour large magnitudes within a row, then the sign election of ``ties``.

    ``rescale='keep'`` divides each element by its own probability.
    Source: Deep et al. 2024, "DELLA-Merging", section 3.
    """
    sparse = _ranked(stack, density, epsilon, rescale, seed)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della_linear(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    epsilon: PerModel = (0.15,),
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """``della``'s draws, then the weighted sum."""
    sparse = _ranked(stack, density, epsilon, rescale, seed)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    gamma: PerModel = (0.01,),
    lambda_: float = 1.0,
    normalize: bool = False,
) -> Kernel:
    """Drop the ``gamma`` largest and enough of the smallest to keep ``density``, then add up.

    An element goes only if its magnitude is strictly beyond the last that stays.
    Source: Davari and Belilovsky 2024, "Model Breadcrumbs", section 3.
    """
    sparse = _middle(stack, density, gamma)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs_ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    gamma: PerModel = (0.01,),
    lambda_: float = 1.0,
    normalize: bool = False,
) -> Kernel:
    """``breadcrumbs``' trimming, then the sign election of ``ties``."""
    sparse = _middle(stack, density, gamma)
    return _mix(stack, sparse, weight, lambda_, normalize, consensus=True)


def _mix(
    stack: Stack,
    sparse: Sparse,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Kernel:
    """The kernel that all of this file's operators share."""
    parity = stack.parity
    real = stack.dtype.type
    shares = round_to(np.array(weight, stack.dtype), parity)
    factor = real(lambda_)
    whole = _sum_of(shares, parity)
    divisor = whole if abs(whole) >= 1e-8 else real(1)

    def block(start: int, stop: int) -> Floats:
        base, deltas = deltas_of(stack, start, stop)
        for model, row in enumerate(deltas):
            kept = sparse.mask(model, start, stop, row)
            if kept is not None:
                row *= kept
            if sparse.scales[model] != 1:
                row *= real(sparse.scales[model])
                round_to(row, parity)
            row *= shares[model]
            round_to(row, parity)
        mixed = scratch("mixed", stack, start, stop)
        _add_up(deltas, mixed)
        below: Floats | np.floating = divisor
        if consensus:
            agreed = agree(deltas, mixed)
            deltas *= agreed
            _add_up(deltas, mixed)
            if normalize:
                below = _divisors(agreed, shares, parity, scratch("below", stack, start, stop))
        round_to(mixed, parity)
        if normalize:
            mixed /= below
            round_to(mixed, parity)
        if lambda_ != 1:
            mixed *= factor
            round_to(mixed, parity)
        mixed += base
        return mixed

    num_buffers = 2 * stack.num_models + 6
    return Kernel(block, align=sparse.align, num_buffers=num_buffers, counts=sparse.counts)


def _divisors(agreed: NDArray[np.bool_], shares: Floats, parity: str | None, out: Floats) -> Floats:
    """The sum of the weights of the models that agree; 1 where it is 0."""
    out[...] = 0
    for row, share in zip(agreed, shares, strict=True):
        out += row * share
    round_to(out, parity)
    out[out == 0] = 1
    return out


def deltas_of(stack: Stack, start: int, stop: int) -> tuple[Floats, Floats]:
    """The base's block and every model's difference from it; shape (models, elements)."""
    num = stop - start
    base = stack.base(start, stop)
    deltas = buffer("deltas", stack.num_models * num, stack.dtype).reshape(-1, num)
    for model, row in enumerate(deltas):
        stack.delta(model, start, stop, base, row)
        round_to(row, stack.parity)
    return base, deltas


def _add_up(rows: Floats, total: Floats) -> None:
    """The sum over models, in their order."""
    total[...] = rows[0]
    for row in rows[1:]:
        total += row


def agree(deltas: Floats, total: Floats) -> NDArray[np.bool_]:
    """Where each model has the sign of the sum; 0 has none, and a sum of 0 is positive."""
    up = total >= 0
    agreed = buffer("agreed", deltas.size, np.bool_).reshape(deltas.shape)
    np.greater(deltas, 0, out=agreed)
    agreed &= up
    down = ~up
    for row, found in zip(deltas, agreed, strict=True):
        found |= (row < 0) & down
    return agreed


def _sum_of(shares: Floats, parity: str | None) -> np.floating:
    total = np.zeros(1, shares.dtype)
    for share in shares:
        total += share
    return round_to(total, parity)[0]


def _everything(stack: Stack) -> Sparse:
    return Sparse(lambda *_: None, [1.0] * stack.num_models, {})


def _trimmed(stack: Stack, density: Sequence[float]) -> Sparse:
    """The largest magnitudes of every model."""
    num = stack.num_elements
    kept = [0 if one <= 0 or not num else min(num, max(1, int(one * num))) for one in density]
    bounds = [(num - one + 1, num) if 0 < one < num else None for one in kept]
    return _bounded(stack, bounds, kept)


def _middle(stack: Stack, density: Sequence[float], gamma: Sequence[float]) -> Sparse:
    """All but the largest and the smallest magnitudes of every model."""
    num = stack.num_elements
    bounds: list[tuple[int, int] | None] = []
    kept: list[int] = []
    for share, top in zip(density, gamma, strict=True):
        target = num if share >= 1 else max(0, int(share * num))
        below = max(0, num - target - int(top * num))
        bounds.append((below + 1, min(num, below + target)) if 0 < target < num else None)
        kept.append(target)
    return _bounded(stack, bounds, kept)


def _bounded(stack: Stack, bounds: Sequence[tuple[int, int] | None], kept: Sequence[int]) -> Sparse:
    """Keeps what lies between two ranks (from 1, by magnitude); all of equal magnitude stay."""
    trimmed = [model for model, one in enumerate(bounds) if one is not None]
    if not trimmed and all(one == stack.num_elements for one in kept):
        return _everything(stack)

    def measure(start: int, stop: int) -> list[Floats]:
        base = stack.base(start, stop)
        rows: list[Floats] = []
        for model in trimmed:
            row = buffer(f"delta {model}", stop - start, stack.dtype)
            rows.append(round_to(stack.delta(model, start, stop, base, row), stack.parity))
        return rows

    num = stack.num_elements
    ranks = [[one for one in bounds[model] or () if one < num] for model in trimmed]
    found = kth_smallest(stack, measure, ranks) if trimmed else []
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


def _dropped(stack: Stack, density: Sequence[float], rescale: str, seed: int) -> Sparse:
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


def _ranked(
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
