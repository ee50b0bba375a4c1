"""Masks of the elements that a task vector keeps: by seeded draws, by rank, by magnitude."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack, thread_buffer
from polylect.merging.operators.operator import block_buffer

_DRAWS_PER_STEP = 16  # Philox gives four words of 64 bits for one value of its counter
_SCALE = 2.0**32


def bernoulli_mask(
    stack: Stack, seed: int, model: int, start: int, stop: int, keep: float | Floats
) -> NDArray[np.bool_]:
    """Which elements are kept, each with probability ``keep`` (one for all, or one for each).

    Philox, keyed by seed, tensor name and the content of the model's tensor, with the element's
    index as the counter: independent of blocks, threads, shards, the order of tensors and models,
    and of where a model lies or what it is called. Probabilities are exact to 2^-32: an element
    gets 16 bits, and 16 more from a second stream only if the first do not decide, which halves the
    number of draws.
    """
    text = "\x1f".join(["polylect.merge", str(seed), stack.name, stack.identity(model)])
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    key, second = np.frombuffer(digest, "<u8").reshape(2, 2)
    counter = start // _DRAWS_PER_STEP
    num_skipped = start - counter * _DRAWS_PER_STEP
    num = stop - start + num_skipped
    words = np.random.Philox(key=key, counter=counter).random_raw(-(-num // 4))
    draws = words.astype("<u8", copy=False).view("<u2")[num_skipped:num]
    mask = thread_buffer("mask", stop - start, np.bool_)
    limit = np.minimum(np.floor(np.asarray(keep, np.float64) * _SCALE), _SCALE - 1)
    limit = limit.astype(np.uint32)
    upper = (limit >> np.uint32(16)).astype(np.uint16)
    np.less(draws, upper, out=mask)
    lower = limit & np.uint32(0xFFFF)
    if lower.any():
        for index in np.flatnonzero(draws == upper):
            more = np.random.Philox(key=second, counter=start + int(index)).random_raw() & 0xFFFF
            mask[index] = more < (lower if lower.ndim == 0 else lower[index])
    return mask


def keep_probabilities(
    stack: Stack, deltas: Floats, start: int, density: float, epsilon: float
) -> Floats:
    """DELLA's keep probabilities: linear in the rank by magnitude within a row.

    The smallest magnitude of a row is kept with ``density - epsilon``, the largest with ``density +
    epsilon``; ties rank by index. The element of a row of one is kept with ``density``. A vector is
    one row.

    Args:
        stack: gives the length of a row.
        deltas: whole rows.
        start: index of their first element.
        density: mean keep probability.
        epsilon: half the range of probabilities.
    """
    assert start % stack.row_elements == 0, f"{stack.name}: a block starts inside a row"
    if stack.row_elements == 1:
        return np.full(deltas.size, density)
    rows = np.abs(deltas).reshape(-1, stack.row_elements)
    order = np.argsort(rows, axis=1, kind="stable")
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, np.arange(stack.row_elements, dtype=np.float64)[None], axis=1)
    ranks *= 2 * epsilon / (stack.row_elements - 1)
    ranks += density - epsilon
    return ranks.reshape(-1)


def magnitude_mask(
    stack: Stack, start: int, values: Floats, lowest: float, highest: float
) -> NDArray[np.bool_]:
    """Which magnitudes are from ``lowest`` to ``highest``, both included."""
    magnitudes = block_buffer("magnitudes", stack, start, start + values.size)
    mask = thread_buffer("mask", values.size, np.bool_)
    np.abs(values, out=magnitudes)
    np.greater_equal(magnitudes, stack.dtype.type(lowest), out=mask)
    if np.isfinite(highest):
        mask &= magnitudes <= stack.dtype.type(highest)
    return mask
