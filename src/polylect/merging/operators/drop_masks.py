"""Which elements of a task vector stay: between thresholds, by seeded draws, by ranks."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack, buffer
from polylect.merging.operators.operator import scratch

_DRAWS_PER_STEP = 16  # Philox gives four words of 64 bits for one value of its counter
_SCALE = 2.0**32


def draw(
    stack: Stack, seed: int, model: int, start: int, stop: int, keep: float | Floats
) -> NDArray[np.bool_]:
    """Whether each element is kept, with probability ``keep`` (one for all, or one for each).

    Philox, keyed by seed, tensor name and model's label, with the element's index as the counter:
    the same whatever the blocks, threads, shards, or the order of tensors and models. Probabilities
    are met to 2^-32: an element is given 16 bits, and 16 more from a second stream in the rare case
    that the first decide nothing, which halves what is drawn.
    """
    text = "\x1f".join(["polylect.merge", str(seed), stack.name, stack.labels[model]])
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    key, second = np.frombuffer(digest, "<u8").reshape(2, 2)
    first = start // _DRAWS_PER_STEP
    skipped = start - first * _DRAWS_PER_STEP
    num = stop - start + skipped
    words = np.random.Philox(key=key, counter=first).random_raw(-(-num // 4))
    draws = words.astype("<u8", copy=False).view("<u2")[skipped:num]
    kept = buffer("kept", stop - start, np.bool_)
    limit = np.minimum(np.floor(np.asarray(keep, np.float64) * _SCALE), _SCALE - 1)
    limit = limit.astype(np.uint32)
    upper = (limit >> np.uint32(16)).astype(np.uint16)
    np.less(draws, upper, out=kept)
    lower = limit & np.uint32(0xFFFF)
    if lower.any():
        for place in np.flatnonzero(draws == upper):
            further = np.random.Philox(key=second, counter=start + int(place)).random_raw() & 0xFFFF
            kept[place] = further < (lower if lower.ndim == 0 else lower[place])
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
