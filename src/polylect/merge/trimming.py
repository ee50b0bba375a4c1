"""Which elements of a task vector stay: exact thresholds by counting, seeded draws, ranks."""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merge.operators import scratch
from polylect.merge.stack import Stack, buffer

Measure = Callable[[int, int], Sequence[Floats]]
"""For a block, one array of values of the type a stack computes in for every thing measured."""

_DRAWS_PER_STEP = 8  # Philox gives four words of 64 bits for one value of its counter
_SCALE = 2.0**32


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

    The bits of a non-negative float, read as an integer, are in the order of the floats. So each
    pass counts the next 16 bits of what shares the bits found so far: two passes for float32, four
    for float64, and memory that depends on neither the size nor the number of the tensors.

    Args:
        stack: says how to go through the tensor.
        measure: one array for every thing measured; signs are left out of account.
        ranks: for each, the wanted ranks from 1 (the smallest) to the number of elements.

    Returns:
        What lies at every rank.
    """
    num_digits = stack.dtype.itemsize // 2
    wanted = [(thing, rank) for thing, some in enumerate(ranks) for rank in some]
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
    ranked = iter([Ranked(value, rank - 1, more) for value, rank, more in triples])
    return [[next(ranked) for _ in some] for some in ranks]


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


def draw(
    stack: Stack, seed: int, model: int, start: int, stop: int, keep: float | Floats
) -> NDArray[np.bool_]:
    """Whether each element is kept, with probability ``keep`` (one for all, or one for each).

    Philox, keyed by seed, tensor name and model's label, with the element's index as the counter:
    the same whatever the blocks, threads, shards, or the order of tensors and models. Probabilities
    are met to 2^-32.
    """
    text = "\x1f".join(["polylect.merge", str(seed), stack.name, stack.labels[model]])
    key = np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], "<u8")
    first = start // _DRAWS_PER_STEP
    skipped = start - first * _DRAWS_PER_STEP
    num = stop - start + skipped
    words = np.random.Philox(key=key, counter=first).random_raw((num + 1) // 2)
    draws = words.astype("<u8", copy=False).view("<u4")[skipped:num]
    kept = buffer("kept", stop - start, np.bool_)
    limit = np.minimum(np.floor(np.asarray(keep, np.float64) * _SCALE), _SCALE - 1)
    np.less(draws, limit.astype(np.uint32), out=kept)
    return kept


def rank_probabilities(
    stack: Stack, deltas: Floats, start: int, density: float, epsilon: float
) -> Floats:
    """DELLA's keep probabilities: linear in the rank by magnitude within a row, both ends exact.

    The smallest of a row is kept with ``density - epsilon``, the largest with ``density +
    epsilon``. Equal magnitudes rank in the order of their index; a row of one element is kept with
    ``density``. A vector is one row, and so is a matrix's row.

    Args:
        stack: gives the length of a row.
        deltas: whole rows.
        start: index of their first element.
        density: mean keep probability.
        epsilon: half the spread.
    """
    assert start % stack.row == 0, f"{stack.name}: a block begins inside a row"
    if stack.row == 1:
        return np.full(deltas.size, density)
    rows = np.abs(deltas).reshape(-1, stack.row)
    order = np.argsort(rows, axis=1, kind="stable")
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, np.arange(stack.row, dtype=np.float64)[None], axis=1)
    ranks *= 2 * epsilon / (stack.row - 1)
    ranks += density - epsilon
    return ranks.reshape(-1)


def keep_range(
    stack: Stack, start: int, values: Floats, lowest: float, highest: float
) -> NDArray[np.bool_]:
    """Whether magnitudes are from ``lowest`` to ``highest``, both included."""
    sizes = scratch("sizes", stack, start, start + values.size)
    kept = buffer("kept", values.size, np.bool_)
    np.abs(values, out=sizes)
    np.greater_equal(sizes, stack.dtype.type(lowest), out=kept)
    if np.isfinite(highest):
        kept &= sizes <= stack.dtype.type(highest)
    return kept
