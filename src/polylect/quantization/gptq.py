"""GPTQ (Frantar et al. 2022, algorithm 1): each column's rounding error is compensated in the rest.

Columns are processed in order of descending diagonal ("activation order") on scales fixed
beforehand, so that no group index has to be stored.
"""

from typing import NamedTuple

import torch

from polylect.quantization.hessian import proxy_loss
from polylect.quantization.rounding import nearest, restored

BLOCK = 128
"""Columns per block; errors are propagated beyond a block once per block."""


_SMALL = 64  # size up to which a triangle is inverted directly


class Rounded(NamedTuple):
    """Codes of a weight and their loss.

    Attributes:
        codes: int8 [out, in].
        loss: squared error of each output on the calibration text, [out].
        nearest_loss: loss of round-to-nearest, [out].
        times_damped: how often the damping was raised until the moments could be inverted.
    """

    codes: torch.Tensor
    loss: torch.Tensor
    nearest_loss: torch.Tensor
    times_damped: int


def inverse_factor(
    moments: torch.Tensor, order: torch.Tensor, damping: float
) -> tuple[torch.Tensor, int]:
    """Upper Cholesky factor of the inverse damped moments, and how often damping was raised.

    Args:
        moments: H [in, in], symmetric, without zero rows.
        order: order of the factor's rows and columns.
        damping: fraction of the mean diagonal to add to the diagonal.
    """
    mean = float(moments.diagonal().mean()) or 1.0
    backwards = order.flip(0)
    for times in range(12):
        damped = moments[backwards][:, backwards]
        damped.diagonal().add_(damping * 10.0**times * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            continue
        del damped
        # With J the reversal, J H J = L L' gives the inverse of H as U' U, U = J L^-1 J: one
        # factorization instead of two with an inverse between them.
        _invert_lower(lower)
        factor = lower.flip((0, 1))
        if bool(torch.isfinite(factor.diagonal()).all()):
            return factor, times
    raise AssertionError("not a moment matrix: with enough damping it always inverts")


def _invert_lower(matrix: torch.Tensor) -> None:
    """Invert a lower triangular matrix in place, by halves."""
    size = len(matrix)
    if size <= _SMALL:
        identity = torch.eye(size, dtype=matrix.dtype)
        matrix.copy_(torch.linalg.solve_triangular(matrix, identity, upper=False))
        return
    half = size // 2
    first, second, below = matrix[:half, :half], matrix[half:, half:], matrix[half:, :half]
    _invert_lower(first)
    _invert_lower(second)
    below.copy_((second @ below) @ first).neg_()


def gptq(
    weight: torch.Tensor,
    scale: torch.Tensor,
    moments: torch.Tensor,
    num_bits: int,
    damping: float = 0.01,
) -> Rounded:
    """GPTQ codes, or round-to-nearest codes for outputs where these have the smaller loss.

    Outputs are independent, so that weights with the same input may be stacked.

    Args:
        weight: float32 [out, in].
        scale: [out, groups].
        moments: H = X'X of the calibration, float32 [in, in], symmetric.
        num_bits: 8 or 4.
        damping: see ``inverse_factor``.
    """
    plain = nearest(weight, scale, num_bits)
    nearest_loss = proxy_loss(weight - restored(plain, scale), moments)
    unused = moments.diagonal() == 0
    if bool(unused.any()):
        moments = moments.clone()
        moments.diagonal()[unused] = 1.0
    order = torch.argsort(moments.diagonal(), descending=True, stable=True)
    factor, times = inverse_factor(moments, order, damping)
    groups = order // (weight.shape[1] // scale.shape[1])
    # Transposed, so that a column of the weight is contiguous.
    columns = weight.T[order].contiguous()
    steps = scale.float().T.contiguous()
    codes = torch.empty_like(columns)
    low, high = (-8.0, 7.0) if num_bits == 4 else (-127.0, 127.0)
    _sweep(columns, steps, groups.tolist(), factor, codes, low, high)
    swept = torch.empty_like(plain)
    swept[:, order] = codes.T.to(torch.int8)
    swept[:, unused] = plain[:, unused]
    del columns, codes, factor
    loss = proxy_loss(weight - restored(swept, scale), moments)
    worse = loss >= nearest_loss
    swept[worse] = plain[worse]
    return Rounded(swept, torch.minimum(loss, nearest_loss), nearest_loss, times)


def _sweep(
    columns: torch.Tensor,
    steps: torch.Tensor,
    groups: list[int],
    factor: torch.Tensor,
    codes: torch.Tensor,
    low: float,
    high: float,
) -> None:
    """Round every column in turn into ``codes``; ``columns`` [in, out] is overwritten."""
    num = columns.shape[0]
    inverse = 1.0 / steps
    restored_column = torch.empty_like(columns[0])
    for start in range(0, num, BLOCK):
        end = min(start + BLOCK, num)
        block, triangle = columns[start:end], factor[start:end, start:end]
        errors = torch.empty_like(block)
        reach = (triangle / triangle.diagonal()[:, None]).contiguous()
        for i in range(end - start):
            group = groups[start + i]
            code = codes[start + i]
            torch.mul(block[i], inverse[group], out=code)
            code.round_().clamp_(low, high)
            torch.mul(code, steps[group], out=restored_column)
            torch.sub(block[i], restored_column, out=errors[i])
            if i + 1 < end - start:
                block[i + 1 :].addr_(reach[i, i + 1 :], errors[i], alpha=-1.0)
        if end < num:
            errors.div_(triangle.diagonal()[:, None])
            columns[end:].addmm_(factor[start:end, end:].T, errors, alpha=-1.0)
