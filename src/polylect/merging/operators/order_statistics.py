"""Exact order statistics of a tensor that is never all in memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack
from polylect.merging.operators.operator import scratch

Measure = Callable[[int, int], Sequence[Floats]]
"""For a block, one array of values of the type a stack computes in for every thing measured."""

_SAMPLED_FROM = 2**18  # elements below which counting digits is as fast
_SAMPLED_UPTO = 2**28  # elements times things, beyond which the distinct values would be too many
_PIECE = 4096  # consecutive elements of the sample
_UNIQUE_BLOCKS = 32


class Ranked(NamedTuple):
    """An order statistic.

    Attributes:
        value: the magnitude.
        before: how many elements of lower rank have the same magnitude.
        after: how many elements of higher rank have it.
    """

    value: float
    before: int
    after: int


def kth_smallest(
    stack: Stack, measure: Measure, ranks: Sequence[Sequence[int]]
) -> list[list[Ranked]]:
    """Exact order statistics of magnitudes that are never all in memory.

    A sample bounds where each must lie; one pass counts what is below and every distinct value
    between. Where that fails, or would hold too much, digits are counted: the bits of a
    non-negative float, read as an integer, are in the order of the floats, so each pass counts the
    next 16 bits of what shares the bits found so far (two passes for float32, four for float64).
    Memory does not grow with the tensor. Both ways give the same numbers.

    Args:
        stack: says how to go through the tensor.
        measure: one array for every thing measured; signs are left out of account.
        ranks: for each, the wanted ranks from 1 (the smallest) to the number of elements.

    Returns:
        What lies at every rank.
    """
    wanted = [(thing, rank) for thing, some in enumerate(ranks) for rank in some]
    ranked = _bracketed(stack, measure, wanted) or _counted(stack, measure, wanted)
    taken = iter(ranked)
    return [[next(taken) for _ in some] for some in ranks]


def _bracketed(
    stack: Stack, measure: Measure, wanted: Sequence[tuple[int, int]]
) -> list[Ranked] | None:
    """The order statistics in one pass, between bounds from a sample; None if they failed.

    What is counted is exact; the sample only says where to look, and is a function of the shape.
    """
    num = stack.num_elements
    if num < _SAMPLED_FROM or num * len(wanted) > _SAMPLED_UPTO:
        return None
    bounds = _sample_bounds(stack, measure, wanted)

    def count(start: int, stop: int) -> list[tuple[int, NDArray[Any], NDArray[Any]]]:
        found: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
        values = measure(start, stop)
        sizes = scratch("sizes", stack, start, stop)
        for (thing, _), (low, high) in zip(wanted, bounds, strict=True):
            np.abs(values[thing], out=sizes)
            inside = sizes >= low
            below = sizes.size - int(np.count_nonzero(inside))
            inside &= sizes <= high
            found.append((below, *np.unique(sizes[inside], return_counts=True)))
        return found

    below = [0] * len(wanted)
    inside: list[list[tuple[NDArray[Any], NDArray[Any]]]] = [[] for _ in wanted]
    for part in stack.map(count):
        for place, (fewer, values, counts) in enumerate(part):
            below[place] += fewer
            inside[place].append((values, counts))
            if len(inside[place]) > _UNIQUE_BLOCKS:
                inside[place] = [_joined(inside[place])]
    ranked: list[Ranked] = []
    for (_, rank), fewer, parts in zip(wanted, below, inside, strict=True):
        values, counts = _joined(parts)
        upto = fewer + np.cumsum(counts)
        if not fewer < rank <= (int(upto[-1]) if upto.size else fewer):
            return None
        place = int(np.searchsorted(upto, rank))
        first = int(upto[place]) - int(counts[place])
        ranked.append(Ranked(float(values[place]), rank - 1 - first, int(upto[place]) - rank))
    return ranked


def _sample_bounds(
    stack: Stack, measure: Measure, wanted: Sequence[tuple[int, int]]
) -> list[tuple[float, float]]:
    """Magnitudes that very likely lie below and above those of the wanted ranks."""
    num = stack.num_elements
    pieces = min(2**20 // len(wanted), num // 16) // _PIECE
    starts = [one * (num - _PIECE) // (pieces - 1) for one in range(pieces)]
    samples: list[list[Floats]] = [[] for _ in wanted]
    for start in starts:
        values = measure(start, start + _PIECE)
        for place, (thing, _) in enumerate(wanted):
            samples[place].append(np.abs(values[thing]))
    bounds: list[tuple[float, float]] = []
    for (_, rank), sample in zip(wanted, samples, strict=True):
        ordered = np.sort(np.concatenate(sample))
        share = rank / num
        # Neighbors are alike, so the spread is wider than that of independent draws.
        slack = 12 * math.sqrt(share * (1 - share) * ordered.size) + 12
        low, high = int(share * ordered.size - slack), int(share * ordered.size + slack)
        bounds.append(
            (
                float(ordered[low]) if low >= 0 else 0.0,
                float(ordered[high]) if high < ordered.size else math.inf,
            )
        )
    return bounds


def _joined(parts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray, NDArray]:
    """Sorted distinct values with their counts, of several such."""
    values, inverse = np.unique(np.concatenate([one for one, _ in parts]), return_inverse=True)
    counts = np.bincount(
        inverse, weights=np.concatenate([one for _, one in parts]), minlength=values.size
    )
    return values, counts.astype(np.int64)


def _counted(stack: Stack, measure: Measure, wanted: Sequence[tuple[int, int]]) -> list[Ranked]:
    """The order statistics by counting digits."""
    num_digits = stack.dtype.itemsize // 2
    found: list[tuple[int, ...]] = [()] * len(wanted)  # digits of 16 bits, the highest first
    left = [rank for _, rank in wanted]
    after = [0] * len(wanted)
    for _ in range(num_digits):
        # Ranks that still share all digits are counted once.
        groups = sorted({(thing, found[n]) for n, (thing, _) in enumerate(wanted)})
        counts = _digit_counts(stack, measure, groups, num_digits)
        for number, (thing, _) in enumerate(wanted):
            upto = np.cumsum(counts[groups.index((thing, found[number]))])
            digit = int(np.searchsorted(upto, left[number]))
            after[number] = int(upto[digit]) - left[number]
            left[number] -= int(upto[digit - 1]) if digit else 0
            found[number] = (*found[number], digit)
    words = np.array([one[::-1] for one in found], "<u2").reshape(-1, num_digits)
    values = words.view(stack.dtype).reshape(-1).tolist()
    triples = zip(values, left, after, strict=True)
    return [Ranked(value, rank - 1, more) for value, rank, more in triples]


def _digit_counts(
    stack: Stack,
    measure: Measure,
    groups: Sequence[tuple[int, tuple[int, ...]]],
    num_digits: int,
) -> NDArray[np.int64]:
    """For each (thing, first digits): how often every next digit follows; shape (groups, 2^16)."""
    word = np.dtype(np.uint32 if num_digits == 2 else np.uint64).type
    highest_place = 16 * (num_digits - 1)

    def count(start: int, stop: int) -> list[NDArray[np.int64]]:
        counted: list[NDArray[np.int64]] = []
        values = measure(start, stop)
        for thing, digits in groups:
            bits = values[thing].view(word)
            highest = ((bits << word(1)) >> word(highest_place + 1)).astype(np.uint16)
            if not digits:
                counted.append(np.bincount(highest, minlength=2**16))
                continue
            chosen = bits[highest == digits[0]]
            place = highest_place
            for digit in digits[1:]:
                place -= 16
                chosen = chosen[(chosen >> word(place)).astype(np.uint16) == digit]
            following = (chosen >> word(place - 16)).astype(np.uint16)
            counted.append(np.bincount(following, minlength=2**16))
        return counted

    counts = np.zeros((len(groups), 2**16), np.int64)
    for part in stack.map(count):
        for row, one in enumerate(part):
            counts[row] += one
    return counts
