"""Second moments of a layer's inputs (GPTQ's Hessian), and the loss of a weight error."""

import torch

_BLOCK = 256


def add_moments(total: torch.Tensor, inputs: torch.Tensor) -> None:
    """Add X'X to the lower triangle of ``total`` (only blocks on and below the diagonal).

    Args:
        total: float32 [in, in].
        inputs: float32 [tokens, in].
    """
    size = total.shape[0]
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        total[start:end, :end].addmm_(inputs[:, start:end].T, inputs[:, :end])


def whole(total: torch.Tensor) -> torch.Tensor:
    """Complete in place the symmetric matrix whose lower triangle ``add_moments`` filled."""
    size = total.shape[0]
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        total[:start, start:end] = total[start:end, :start].T
        inner = total[start:end, start:end]
        inner.copy_(torch.tril(inner) + torch.tril(inner, -1).T)
    return total


def proxy_loss(error: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """Squared error of each output on the calibration text, [out]: diag(E H Eᵀ).

    Args:
        error: weight error E, [out, in].
        moments: H = X'X, [in, in].
    """
    total = torch.zeros(len(error), dtype=error.dtype)
    for start in range(0, error.shape[1], _BLOCK):
        block = error[:, start : start + _BLOCK]
        product = block @ moments[start : start + _BLOCK, start : start + _BLOCK]
        if start:  # H is symmetric: count the off-diagonal blocks twice
            left = moments[:start, start : start + _BLOCK]
            product.addmm_(error[:, :start], left, alpha=2.0)
        total += product.mul_(block).sum(dim=1)
    return total
