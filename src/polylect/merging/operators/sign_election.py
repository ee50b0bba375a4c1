"""From thinned differences to a merged block: signs elected, weights applied, the base added."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.merging.arithmetic.rounding import round_to
from polylect.merging.arithmetic.stack import Stack, buffer, deltas_of
from polylect.merging.operators.operator import Block, Kernel, scratch
from polylect.merging.operators.sparsity import Sparse


def mix(
    stack: Stack,
    sparse: Sparse,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Kernel:
    """The kernel that all of this file's operators share."""
    step = _stepwise if stack.parity else _exactly
    block = step(stack, sparse, weight, lambda_, normalize, consensus=consensus)
    num_buffers = 2 * stack.num_models + 8
    return Kernel(block, align=sparse.align, num_buffers=num_buffers, counts=sparse.counts)


def _exactly(
    stack: Stack,
    sparse: Sparse,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Block:
    """Products and sums in float64, not rounded."""
    shares = np.array(weight, np.float64)
    factors = shares * np.array(sparse.scales)
    whole = float(shares.sum())
    divisor = whole if abs(whole) >= 1e-8 else 1.0

    def block(start: int, stop: int) -> Floats:
        base, deltas = deltas_of(stack, start, stop)
        mixed, product = (buffer(role, stop - start, np.float64) for role in ("mixed", "product"))
        for model, row in enumerate(deltas):
            kept = sparse.mask(model, start, stop, row)
            if kept is not None:
                row *= kept
        _weigh(deltas, factors, mixed, product)
        if consensus:
            up = mixed >= 0
            below = buffer("below", stop - start, np.float64)
            below[...] = 0
            for row, share in zip(deltas, shares, strict=True):
                agreed = _side(row, share, up)
                row *= agreed
                if normalize:
                    below += np.multiply(agreed, share, out=product)
            _weigh(deltas, factors, mixed, product)
            if normalize:
                np.copyto(below, 1, where=below == 0)
                mixed /= below
        elif normalize:
            mixed /= divisor
        if lambda_ != 1:
            mixed *= lambda_
        mixed += base
        return mixed

    return block


def _weigh(rows: Floats, factors: Sequence[float] | Floats, total: Floats, product: Floats) -> None:
    """The weighted sum over models, in their order."""
    total[...] = rows[0]  # a cast and a product each in a pass of its own: faster than both in one
    total *= factors[0]
    for row, factor in zip(rows[1:], factors[1:], strict=True):
        product[...] = row
        product *= factor
        total += product


def _side(row: Floats, share: float, up: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a weighted difference has the sign that won; 0 has none."""
    agreed = buffer("agreed", row.size, np.bool_)
    if share == 0:
        agreed[...] = False
        return agreed
    (np.greater if share > 0 else np.less)(row, 0, out=agreed)
    np.equal(agreed, up, out=agreed)
    agreed &= row != 0
    return agreed


def _stepwise(
    stack: Stack,
    sparse: Sparse,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Block:
    """Every step rounded to the type that mergekit computes in."""
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

    return block


def _divisors(agreed: NDArray[np.bool_], shares: Floats, parity: str | None, out: Floats) -> Floats:
    """The sum of the weights of the models that agree; 1 where it is 0."""
    out[...] = 0
    for row, share in zip(agreed, shares, strict=True):
        out += row * share
    round_to(out, parity)
    out[out == 0] = 1
    return out


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
