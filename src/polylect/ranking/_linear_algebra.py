"""Positive definite solves and the inverse of a graph Laplacian."""

from typing import cast

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking.counts import FloatArray


def solve_positive(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solution of ``matrix · x = right`` for a symmetric positive definite matrix.

    Raises:
        UndecidableError: the matrix is not positive definite, so the votes leave some direction of
            the parameters undecided.
    """
    from scipy.linalg import cho_factor, cho_solve

    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise UndecidableError(
            "the likelihood has no curvature in some direction",
            "check the votes for models that only won or only lost",
        ) from None
    return cast(FloatArray, cho_solve(factor, right, check_finite=False))


def centered_inverse(hessian: FloatArray, ridge: float = 0.0) -> FloatArray:
    """Pseudo-inverse of a Laplacian (plus ridge) on the vectors that sum to zero."""
    inverse = solve_positive(positive_definite(hessian, ridge), np.eye(len(hessian)))
    inverse = inverse - inverse.mean(0, keepdims=True)
    return inverse - inverse.mean(1, keepdims=True)


def positive_definite(hessian: FloatArray, ridge: float = 0.0) -> FloatArray:
    """The Laplacian plus ridge, with curvature along the all-ones vector, where it has none."""
    size = len(hessian)
    scale = float(np.trace(hessian)) / max(size, 1) or 1.0
    matrix = hessian + scale / max(size, 1)
    matrix[np.arange(size), np.arange(size)] += ridge
    return matrix
