"""Exact order statistics of a tensor that does not fit in memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack
from polylect.merging.operators.operator import block_buffer

ReadSeries = Callable[[int, int], Sequence[Floats]]
"""For a block, the values of every series, with the dtype that the stack computes in."""

_SAMPLED_FROM = 2**18  # elements; below that, counting digits is as fast
_SAMPLED_UPTO = 2**28  # elements times ranks; above that, there could be too many distinct values
_RUN = 4096  # consecutive elements of the sample
_MAX_PARTS = 32  # of distinct values, before they are joined


class OrderStatistic(NamedTuple):
    """An order statistic.

    Attributes:
        value: the magnitude.
        before: number of equal magnitudes of lower rank.
        after: number of equal magnitudes of higher rank.
    """

    value: float
    before: int
    after: int


def kth_smallest(
    stack: Stack, read: ReadSeries, ranks: Sequence[Sequence[int]]
) -> list[list[OrderStatistic]]:
    """Exact order statistics of magnitudes, in memory that does not grow with the tensor.

    A sample gives bounds for each; one pass counts what is below them and every distinct value
    between them. Where that fails, or would need too much memory, digits are counted (a radix
    select): the bits of non-negative floats sort like integers, so each pass counts the next 16
    bits of the values that share the bits known so far (two passes for float32, four for float64).
    Both ways give the same numbers.

    Args:
        stack: iterates over the tensor.
        read: values of every series for a block; signs are ignored.
        ranks: for each series, ranks from 1 (the smallest) to the number of elements.

    Returns:
        The order statistics of each series.
    """
    targets = [(series, rank) for series, some in enumerate(ranks) for rank in some]
    statistics = iter(_bracketed(stack, read, targets) or _radix_select(stack, read, targets))
    return [[next(statistics) for _ in some] for some in ranks]


def _bracketed(
    stack: Stack, read: ReadSeries, targets: Sequence[tuple[int, int]]
) -> list[OrderStatistic] | None:
    """The order statistics by one pass between bounds from a sample; None if the bounds fail.

    The counts are exact; the sample only gives the bounds, and depends only on the shape.
    """
    num = stack.num_elements
    if num < _SAMPLED_FROM or num * len(targets) > _SAMPLED_UPTO:
        return None
    bounds = _sample_bounds(stack, read, targets)

    def count(start: int, stop: int) -> list[tuple[int, NDArray[Any], NDArray[Any]]]:
        counted: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
        values = read(start, stop)
        magnitudes = block_buffer("magnitudes", stack, start, stop)
        for (series, _), (low, high) in zip(targets, bounds, strict=True):
            np.abs(values[series], out=magnitudes)
            inside = magnitudes >= low
            num_below = magnitudes.size - int(np.count_nonzero(inside))
            inside &= magnitudes <= high
            counted.append((num_below, *np.unique(magnitudes[inside], return_counts=True)))
        return counted

    below = [0] * len(targets)
    inside: list[list[tuple[NDArray[Any], NDArray[Any]]]] = [[] for _ in targets]
    for counted in stack.map(count):
        for target, (num_below, values, counts) in enumerate(counted):
            below[target] += num_below
            inside[target].append((values, counts))
            if len(inside[target]) > _MAX_PARTS:
                inside[target] = [_joined(inside[target])]
    statistics: list[OrderStatistic] = []
    for (_, rank), num_below, parts in zip(targets, below, inside, strict=True):
        values, counts = _joined(parts)
        upto = num_below + np.cumsum(counts)
        if not num_below < rank <= (int(upto[-1]) if upto.size else num_below):
            return None
        index = int(np.searchsorted(upto, rank))
        first, last = int(upto[index]) - int(counts[index]), int(upto[index])
        statistics.append(OrderStatistic(float(values[index]), rank - 1 - first, last - rank))
    return statistics


def _sample_bounds(
    stack: Stack, read: ReadSeries, targets: Sequence[tuple[int, int]]
) -> list[tuple[float, float]]:
    """Magnitudes that are very likely below and above those of the target ranks."""
    num = stack.num_elements
    num_runs = min(2**20 // len(targets), num // 16) // _RUN
    starts = [run * (num - _RUN) // (num_runs - 1) for run in range(num_runs)]
    samples: list[list[Floats]] = [[] for _ in targets]
    for start in starts:
        values = read(start, start + _RUN)
        for sample, (series, _) in zip(samples, targets, strict=True):
            sample.append(np.abs(values[series]))
    bounds: list[tuple[float, float]] = []
    for (_, rank), sample in zip(targets, samples, strict=True):
        ordered = np.sort(np.concatenate(sample))
        quantile = rank / num
        # Neighbors are alike, so the deviation is larger than that of independent draws.
        slack = 12 * math.sqrt(quantile * (1 - quantile) * ordered.size) + 12
        low, high = int(quantile * ordered.size - slack), int(quantile * ordered.size + slack)
        bounds.append(
            (
                float(ordered[low]) if low >= 0 else 0.0,
                float(ordered[high]) if high < ordered.size else math.inf,
            )
        )
    return bounds


def _joined(parts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray, NDArray]:
    """Sorted distinct values with their counts, joined from several parts."""
    values, inverse = np.unique(np.concatenate([part for part, _ in parts]), return_inverse=True)
    weights = np.concatenate([counts for _, counts in parts])
    counts = np.bincount(inverse, weights=weights, minlength=values.size)
    return values, counts.astype(np.int64)


def _radix_select(
    stack: Stack, read: ReadSeries, targets: Sequence[tuple[int, int]]
) -> list[OrderStatistic]:
    """The order statistics by counting digits."""
    num_digits = stack.dtype.itemsize // 2
    prefixes: list[tuple[int, ...]] = [()] * len(targets)  # digits of 16 bits, the highest first
    left = [rank for _, rank in targets]
    after = [0] * len(targets)
    for _ in range(num_digits):
        # Targets that still share all digits are counted once.
        groups = sorted({(series, prefixes[n]) for n, (series, _) in enumerate(targets)})
        counts = _digit_counts(stack, read, groups, num_digits)
        for number, (series, _) in enumerate(targets):
            upto = np.cumsum(counts[groups.index((series, prefixes[number]))])
            digit = int(np.searchsorted(upto, left[number]))
            after[number] = int(upto[digit]) - left[number]
            left[number] -= int(upto[digit - 1]) if digit else 0
            prefixes[number] = (*prefixes[number], digit)
    words = np.array([digits[::-1] for digits in prefixes], "<u2").reshape(-1, num_digits)
    values = words.view(stack.dtype).reshape(-1).tolist()
    triples = zip(values, left, after, strict=True)
    return [OrderStatistic(value, rank - 1, num_after) for value, rank, num_after in triples]


def _digit_counts(
    stack: Stack,
    read: ReadSeries,
    groups: Sequence[tuple[int, tuple[int, ...]]],
    num_digits: int,
) -> NDArray[np.int64]:
    """Counts of the next digit after each (series, prefix): int [groups, 2^16]."""
    word = np.dtype(np.uint32 if num_digits == 2 else np.uint64).type
    highest_shift = 16 * (num_digits - 1)

    def count(start: int, stop: int) -> list[NDArray[np.int64]]:
        counted: list[NDArray[np.int64]] = []
        values = read(start, stop)
        for series, prefix in groups:
            bits = values[series].view(word)
            highest = ((bits << word(1)) >> word(highest_shift + 1)).astype(np.uint16)
            if not prefix:
                counted.append(np.bincount(highest, minlength=2**16))
                continue
            matches = bits[highest == prefix[0]]
            shift = highest_shift
            for digit in prefix[1:]:
                shift -= 16
                matches = matches[(matches >> word(shift)).astype(np.uint16) == digit]
            following = (matches >> word(shift - 16)).astype(np.uint16)
            counted.append(np.bincount(following, minlength=2**16))
        return counted

    counts = np.zeros((len(groups), 2**16), np.int64)
    for counted in stack.map(count):
        for row, digits in zip(counts, counted, strict=True):
            row += digits
    return counts
