"""From sparse differences to a merged block: signs elected, weights applied, the base added."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.rounding import round_to
from polylect.merging.arithmetic.stack import Stack, read_deltas, thread_buffer
from polylect.merging.operators.cancellation import canceling_subsets, cancels
from polylect.merging.operators.operator import Block, Kernel, block_buffer
from polylect.merging.operators.sparsity import Sparsifier

_ROUNDING = 1e-6  # see ``cancels``
_UNDIVIDED = "fell back: not divided where weights cancel, tensors"
_UNDIVIDED_BELOW = 1e-8  # mergekit's: a smaller sum of weights is not divided by


def merge_deltas(
    stack: Stack,
    sparsifier: Sparsifier,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Kernel:
    """The kernel of ``base + lambda * sum(weight_i * sparse(model_i - base))``.

    Where the weights to divide by cancel (their sum is 0, or only what rounding leaves of it), the
    sum is not divided; the ledger counts the tensors in which that may happen.

    Args:
        stack: the tensor.
        sparsifier: which elements of the differences are kept.
        weight: one for each model.
        lambda_: factor of the sum.
        normalize: divide the sum by the weights (of the models that agree, with ``consensus``).
        consensus: drop differences whose sign is not that of the weighted sum (TIES).

    Raises:
        InputError: for parity, weights cancel, and mergekit would divide by a rounding error.
    """
    counts = dict(sparsifier.counts)
    if normalize:
        weights = tuple(map(float, weight))
        undivided = canceling_subsets(weights) if consensus else (weights,) * cancels(weights)
        if undivided:
            counts[_UNDIVIDED] = 1
        if stack.parity:
            _check_parity(undivided, stack, consensus)
    compute = _in_parity if stack.parity else _in_float64
    block = compute(stack, sparsifier, weight, lambda_, normalize, consensus=consensus)
    num_buffers = 2 * stack.num_models + 8
    return Kernel(block, align=sparsifier.align, num_buffers=num_buffers, counts=counts)


def _in_float64(
    stack: Stack,
    sparsifier: Sparsifier,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Block:
    """Products and sums in float64."""
    shares = np.array(weight, np.float64)
    factors = shares * np.array(sparsifier.scales)
    divisor = 1.0 if cancels(weight) else float(shares.sum())
    can_cancel = min(weight) < 0 < max(weight)

    def block(start: int, stop: int) -> Floats:
        base, deltas = read_deltas(stack, start, stop)
        merged, product = (
            thread_buffer(role, stop - start, np.float64) for role in ("merged", "product")
        )
        for model, row in enumerate(deltas):
            mask = sparsifier.mask(model, start, stop, row)
            if mask is not None:
                row *= mask
        _weighted_sum(deltas, factors, merged, product)
        if consensus:
            positive = merged >= 0
            divisors = thread_buffer("divisors", stop - start, np.float64)
            magnitudes = thread_buffer("magnitudes of divisors", stop - start, np.float64)
            divisors[...] = magnitudes[...] = 0
            for row, share in zip(deltas, shares, strict=True):
                agreed = _agrees(row, share, positive)
                row *= agreed
                if normalize:
                    divisors += np.multiply(agreed, share, out=product)
                if normalize and can_cancel:
                    magnitudes += np.multiply(agreed, abs(share), out=product)
            _weighted_sum(deltas, factors, merged, product)
            if normalize:
                magnitudes *= _ROUNDING  # all zeros unless weights can cancel
                np.copyto(divisors, 1, where=np.abs(divisors, out=product) <= magnitudes)
                merged /= divisors
        elif normalize:
            merged /= divisor
        if lambda_ != 1:
            merged *= lambda_
        merged += base
        return merged

    return block


def _weighted_sum(
    rows: Floats, factors: Sequence[float] | Floats, total: Floats, product: Floats
) -> None:
    """The weighted sum over models, in their order."""
    total[...] = rows[0]  # casting and multiplying in two passes is faster than in one
    total *= factors[0]
    for row, factor in zip(rows[1:], factors[1:], strict=True):
        product[...] = row
        product *= factor
        total += product


def _agrees(row: Floats, share: float, positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a weighted difference has the elected sign; 0 has none."""
    agreed = thread_buffer("agreed", row.size, np.bool_)
    if share == 0:
        agreed[...] = False
        return agreed
    (np.greater if share > 0 else np.less)(row, 0, out=agreed)
    np.equal(agreed, positive, out=agreed)
    agreed &= row != 0
    return agreed


def _in_parity(
    stack: Stack,
    sparsifier: Sparsifier,
    weight: Sequence[float],
    lambda_: float,
    normalize: bool,
    *,
    consensus: bool,
) -> Block:
    """Every step rounded to the dtype that mergekit computes in."""
    parity = stack.parity
    real = stack.dtype.type
    shares = round_to(np.array(weight, stack.dtype), parity)
    factor = real(lambda_)
    total = _rounded_sum(shares, parity)
    divisor = total if abs(total) >= _UNDIVIDED_BELOW else real(1)

    def block(start: int, stop: int) -> Floats:
        base, deltas = read_deltas(stack, start, stop)
        for model, row in enumerate(deltas):
            mask = sparsifier.mask(model, start, stop, row)
            if mask is not None:
                row *= mask
            if sparsifier.scales[model] != 1:
                row *= real(sparsifier.scales[model])
                round_to(row, parity)
            row *= shares[model]
            round_to(row, parity)
        merged = block_buffer("merged", stack, start, stop)
        _sum_rows(deltas, merged)
        divisors: Floats | np.floating = divisor
        if consensus:
            agreed = sign_agreement(deltas, merged)
            deltas *= agreed
            _sum_rows(deltas, merged)
            if normalize:
                out = block_buffer("divisors", stack, start, stop)
                divisors = _divisors(agreed, shares, parity, out)
        round_to(merged, parity)
        if normalize:
            merged /= divisors
            round_to(merged, parity)
        if lambda_ != 1:
            merged *= factor
            round_to(merged, parity)
        merged += base
        return merged

    return block


def _check_parity(undivided: Sequence[tuple[float, ...]], stack: Stack, consensus: bool) -> None:
    """Refuse weights that cancel, but not in the dtype that mergekit adds them in."""
    for weights in undivided:
        shares = round_to(np.array(weights, stack.dtype), stack.parity)
        total = abs(float(_rounded_sum(shares, stack.parity)))
        if total if consensus else total >= _UNDIVIDED_BELOW:
            listed = ", ".join(f"{weight:g}" for weight in weights)
            raise InputError(
                f"weights {listed} cancel, and mergekit divides by the {total:g} that rounding to "
                f"{stack.parity} leaves",
                "change a weight, leave --parity out, or set normalize to false",
            )


def _divisors(agreed: NDArray[np.bool_], shares: Floats, parity: str | None, out: Floats) -> Floats:
    """The sum of the weights of the models that agree; 1 where it is 0."""
    out[...] = 0
    for row, share in zip(agreed, shares, strict=True):
        out += row * share
    round_to(out, parity)
    out[out == 0] = 1
    return out


def _sum_rows(rows: Floats, total: Floats) -> None:
    """The sum over models, in their order."""
    total[...] = rows[0]
    for row in rows[1:]:
        total += row


def sign_agreement(deltas: Floats, total: Floats) -> NDArray[np.bool_]:
    """Where each model has the sign of the sum; 0 has none, and a sum of 0 is positive."""
    positive = total >= 0
    agreed = thread_buffer("agreed", deltas.size, np.bool_).reshape(deltas.shape)
    np.greater(deltas, 0, out=agreed)
    agreed &= positive
    negative = ~positive
    for row, agrees in zip(deltas, agreed, strict=True):
        agrees |= (row < 0) & negative
    return agreed


def _rounded_sum(shares: Floats, parity: str | None) -> np.floating:
    total = np.zeros(1, shares.dtype)
    for share in shares:
        total += share
    return round_to(total, parity)[0]
