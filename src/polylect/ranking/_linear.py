"""Sums by index and symmetric positive solves: scipy and numpy with their types pinned down."""

from typing import cast

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError
from polylect.ranking.counts import FloatArray


def solve_positive(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solution of ``matrix · x = right`` for a symmetric positive definite matrix.

    Raises:
        UndecidableError: the matrix is not positive definite: the votes give no curvature.
    """
    from scipy.linalg import cho_factor, cho_solve

    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise UndecidableError(
            "the votes give no curvature in some direction",
            "check the votes for models that only won or only lost",
        ) from None
    return cast(FloatArray, cho_solve(factor, right, check_finite=False))


def centered_inverse(hessian: FloatArray, ridge: float = 0.0) -> FloatArray:
    """Pseudo-inverse of a Laplacian (plus ridge) on the vectors that sum to zero."""
    inverse = solve_positive(regular(hessian, ridge), np.eye(len(hessian)))
    inverse = inverse - inverse.mean(0, keepdims=True)
    return inverse - inverse.mean(1, keepdims=True)


def regular(hessian: FloatArray, ridge: float = 0.0) -> FloatArray:
    """The Laplacian with curvature along the all-ones vector, where it has none of its own."""
    size = len(hessian)
    scale = float(np.trace(hessian)) / max(size, 1) or 1.0
    matrix = hessian + scale / max(size, 1)
    matrix[np.arange(size), np.arange(size)] += ridge
    return matrix


def expit(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(−x)) without overflow."""
    from scipy.special import expit as logistic

    return logistic(x)


def softmax(logits: npt.NDArray[np.float64]) -> FloatArray:
    """Probabilities along the last axis."""
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)
