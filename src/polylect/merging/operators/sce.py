"""SCE: which elements and which models matter, told by variance and by size."""

import math

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.stack import Stack, deltas_of
from polylect.merging.operators.operator import Kernel, operator
from polylect.merging.operators.order_statistics import kth_smallest
from polylect.merging.operators.sign_election import agree

_SCE_ELEMENTS = 2**14  # of all models at once


@operator(base="required")
def sce(stack: Stack, *, select_topk: float = 1.0) -> Kernel:
    """Select elements by variance, weigh models by their squares, erase minority signs.

    Keeps every element whose variance over the models is at least that of the
    ``select_topk * m``-th largest, ``m`` being how many variances are not 0.
    Source: Wan et al. 2024, "FuseChat", section 3.3.
    """
    least = _variance_threshold(stack, select_topk) if select_topk < 1 else 0.0

    def mask(deltas: Floats) -> None:
        if least > 0:
            deltas *= _variance(deltas) >= least

    def squares(start: int, stop: int) -> NDArray[np.float64]:
        deltas = deltas_of(stack, start, stop)[1]
        mask(deltas)
        return np.array([float(np.square(row, dtype=np.float64).sum()) for row in deltas])

    total = sum(stack.map(squares, _SCE_ELEMENTS), np.zeros(stack.num_models))
    mean = total / max(1, stack.num_elements)
    even = abs(mean.sum()) < 1e-6  # as mergekit: too little to tell the models apart
    shares = np.full(stack.num_models, 1 / stack.num_models) if even else mean / mean.sum()

    def block(start: int, stop: int) -> Floats:
        base, deltas = deltas_of(stack, start, stop)
        mask(deltas)
        agreed = agree(deltas, deltas.sum(axis=0))
        weights = agreed * shares.astype(stack.dtype)[:, None]
        mixed = (deltas * weights).sum(axis=0)
        mixed /= np.maximum(weights.sum(axis=0), stack.dtype.type(1e-6))
        mixed += base
        return mixed

    return Kernel(block, num_buffers=3 * stack.num_models + 4)


def _variance(deltas: Floats) -> Floats:
    """Population variance over the models, of every element."""
    centered = deltas - deltas.mean(axis=0)
    return np.square(centered, out=centered).mean(axis=0)


def _variance_threshold(stack: Stack, fraction: float) -> float:
    """The variance from which on elements are kept; infinite where none is."""

    def measure(start: int, stop: int) -> list[Floats]:
        return [_variance(deltas_of(stack, start, stop)[1])]

    def nonzero(start: int, stop: int) -> int:
        return int(np.count_nonzero(measure(start, stop)[0]))

    kept = int(sum(stack.map(nonzero, _SCE_ELEMENTS)) * fraction)
    if kept == 0:
        return math.inf
    return kth_smallest(stack, measure, [[stack.num_elements - kept + 1]])[0][0].value
