"""Second moments of a layer's inputs, and what an error of the weights costs by them."""

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
    """The symmetric matrix of which ``add_moments`` filled the lower triangle; in place."""
    size = total.shape[0]
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        total[:start, start:end] = total[start:end, :start].T
        inner = total[start:end, start:end]
        inner.copy_(torch.tril(inner) + torch.tril(inner, -1).T)
    return total


def proxy_loss(error: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """Squared error of each output over the calibration, [out]: diag(E H E').

    Args:
        error: of the weight, [out, in].
        moments: H = X'X, [in, in].
    """
    total = torch.zeros(len(error), dtype=error.dtype)
    for start in range(0, error.shape[1], _BLOCK):
        block = error[:, start : start + _BLOCK]
        product = block @ moments[start : start + _BLOCK, start : start + _BLOCK]
        if start:  # what lies left of the diagonal lies above it too
            left = moments[:start, start : start + _BLOCK]
            product.addmm_(error[:, :start], left, alpha=2.0)
        total += product.mul_(block).sum(dim=1)
    return total
