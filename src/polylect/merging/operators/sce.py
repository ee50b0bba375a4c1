"""SCE: elements selected by their variance over the models, models weighted by magnitude."""

import math

import numpy as np
from numpy.typing import NDArray

from polylect.base import Share
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack, read_deltas
from polylect.merging.operators.operator import Kernel, operator
from polylect.merging.operators.order_statistics import kth_smallest
from polylect.merging.operators.sign_election import sign_agreement

_EQUAL_SHARES = "fell back: equal shares where differences are small (as mergekit), tensors"
_SCE_ELEMENTS = 2**14  # of all models at once


@operator(base="required")
def sce(stack: Stack, *, select_topk: Share = 1.0) -> Kernel:
    """Select elements by variance, weight models by their squares, erase minority signs.

    Keeps every element whose variance over the models is at least the ``select_topk * m``-th
    largest, where ``m`` is the number of nonzero variances.
    Source: Wan et al. 2024, "FuseChat", section 3.3.

    Args:
        stack: the tensor.
        select_topk: share of the elements that is kept, those of the largest variance.
    """
    min_variance = _variance_threshold(stack, select_topk) if select_topk < 1 else 0.0

    def select(deltas: Floats) -> None:
        if min_variance > 0:
            deltas *= _variance(deltas) >= min_variance

    def squares(start: int, stop: int) -> NDArray[np.float64]:
        deltas = read_deltas(stack, start, stop)[1]
        select(deltas)
        return np.array([float(np.square(row, dtype=np.float64).sum()) for row in deltas])

    total = sum(stack.map(squares, _SCE_ELEMENTS), np.zeros(stack.num_models))
    mean = total / max(1, stack.num_elements)
    is_tiny = abs(mean.sum()) < 1e-6  # as in mergekit: the models do not differ enough
    shares = np.full(stack.num_models, 1 / stack.num_models) if is_tiny else mean / mean.sum()

    def block(start: int, stop: int) -> Floats:
        base, deltas = read_deltas(stack, start, stop)
        select(deltas)
        agreed = sign_agreement(deltas, deltas.sum(axis=0))
        weights = agreed * shares.astype(stack.dtype)[:, None]
        mixed = (deltas * weights).sum(axis=0)
        mixed /= np.maximum(weights.sum(axis=0), stack.dtype.type(1e-6))
        mixed += base
        return mixed

    counts = {_EQUAL_SHARES: 1} if is_tiny else {}
    return Kernel(block, num_buffers=3 * stack.num_models + 4, counts=counts)


def _variance(deltas: Floats) -> Floats:
    """Population variance of every element over the models."""
    centered = deltas - deltas.mean(axis=0)
    return np.square(centered, out=centered).mean(axis=0)


def _variance_threshold(stack: Stack, fraction: float) -> float:
    """The smallest variance that is kept; infinite if none is."""

    def variances(start: int, stop: int) -> list[Floats]:
        return [_variance(read_deltas(stack, start, stop)[1])]

    def nonzero(start: int, stop: int) -> int:
        return int(np.count_nonzero(variances(start, stop)[0]))

    num_kept = int(sum(stack.map(nonzero, _SCE_ELEMENTS)) * fraction)
    if num_kept == 0:
        return math.inf
    return kth_smallest(stack, variances, [[stack.num_elements - num_kept + 1]])[0][0].value
