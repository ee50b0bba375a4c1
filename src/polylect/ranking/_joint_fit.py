"""Fits of strengths together with extra parameters: of ties, of style features."""

from collections.abc import Sequence

import numpy as np

from polylect.ranking._linear_algebra import solve_positive
from polylect.ranking.counts import FloatArray, PairCounts
from polylect.ranking.ratings import Parameter, Ratings


def fix_common_shift(hessian: FloatArray, num_models: int) -> FloatArray:
    """The Hessian with curvature along the common shift of all strengths: steps stay centered."""
    matrix = hessian.copy()
    strengths = matrix[:num_models, :num_models]
    strengths += float(np.trace(strengths)) / num_models**2
    return matrix


def joint_ratings(
    counts: PairCounts,
    point: FloatArray,
    strength: FloatArray,
    derivatives: tuple[FloatArray, FloatArray, FloatArray],
    names: Sequence[str],
    method: str,
    num_iterations: int,
) -> Ratings:
    """Ratings at a solution, with the sandwich over strengths and extra parameters together.

    Args:
        counts: what was fitted.
        point: (M + K,) the solution: M strengths, then K extra parameters.
        strength: (M,) the strengths as they are reported.
        derivatives: at the point: gradient, negative Hessian and the sum of outer products of the
            scores of single votes.
        names: of the extra parameters.
        method: in words.
        num_iterations: Newton steps taken.
    """
    gradient, hessian, meat = derivatives
    size = counts.num_models
    inverse = solve_positive(fix_common_shift(hessian, size), np.eye(len(point)))
    covariance = inverse @ meat @ inverse
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    covariance = covariance[:size, :size]
    bread = inverse[:size, :size] - inverse[:size, :size].mean(0, keepdims=True)
    return Ratings(
        models=counts.models,
        strength=strength,
        covariance=(covariance + covariance.T) / 2.0,
        bread=bread - bread.mean(1, keepdims=True),
        battles=counts.battles,
        method=method,
        gradient_norm=float(np.linalg.norm(gradient)) / counts.num_votes,
        num_iterations=num_iterations,
        parameters=tuple(
            Parameter(name, float(point[size + k]), float(error[size + k]))
            for k, name in enumerate(names)
        ),
    )
