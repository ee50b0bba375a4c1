"""Least squares of ``floor + exp(features · β)`` for many columns at once.

Levenberg's and Marquardt's steps with a normal matrix per column: the products of features are made
once and weighted per column by one matrix product, so that 24 columns cost little more than one.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FLOORS = np.array([0.1, 0.5, 0.9])
"""Floors to start from, as fractions of the smallest loss."""
_HIGHEST = 0.995
_STEPS, _ENOUGH, _ENOUGH_NEARBY = 100, 1e-7, 1e-4
_RIDGE = 1e-9


def fit_exponentials(
    features: Floats, losses: Floats, start: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    """Floors [columns] and coefficients β [features, columns] with the least squared error.

    Such sums of squares have several valleys; steps go down from three floors and the best is
    taken, which is no proof that there is none lower. A floor lies between 0 and 99.5 % of the
    smallest loss of its column. A column is done when a step promises less than a ten-millionth of
    its squared error; from a start of nearly the same rows, a ten-thousandth.

    Args:
        features: [rows, features].
        losses: [rows, columns], above 0.
        start: floors and coefficients to start from; default 10, 50 and 90 % of the smallest loss,
            with the least squares of logarithms.
    """
    if start is not None:
        return _descend(features, losses, *start, _ENOUGH_NEARBY)[:2]
    num = losses.shape[1]
    tiled = np.tile(losses, len(_FLOORS))
    floors = np.repeat(_FLOORS, num) * tiled.min(axis=0)
    betas = np.linalg.pinv(features) @ np.log(tiled - floors)
    floors, betas, error = _descend(features, tiled, floors, betas, _ENOUGH)
    best = error.reshape(len(_FLOORS), num).argmin(axis=0) * num + np.arange(num)
    return floors[best], betas[:, best]


def _descend(
    features: Floats, losses: Floats, floors: Floats, betas: Floats, enough: float
) -> tuple[Floats, Floats, Floats]:
    """Floors, coefficients and squared errors after steps that promise less than ``enough``."""
    highest = _HIGHEST * losses.min(axis=0)
    floors, betas = np.minimum(floors, highest), betas.copy()
    first, second = np.triu_indices(features.shape[1])
    products = (features[:, first] * features[:, second]).T
    left = np.arange(losses.shape[1])  # columns that are not done
    damping = np.full(len(left), 1e-3 if enough == _ENOUGH else 1e-6)
    exps = np.exp(np.minimum(features @ betas, 50.0))
    residual = losses - floors - exps
    error = (residual**2).sum(axis=0)
    errors = error.copy()
    for _ in range(_STEPS):
        gradient = np.concatenate([residual.sum(axis=0)[None], features.T @ (exps * residual)])
        normal = _normal(features, products, (first, second), exps)
        diagonal = normal[:, range(len(gradient)), range(len(gradient))]
        ridge = damping[:, None] * diagonal + _RIDGE * diagonal.max(axis=1, keepdims=True)
        damped = normal + ridge[:, :, None] * np.eye(len(gradient))
        step = np.linalg.solve(damped, gradient.T[:, :, None])[:, :, 0].T
        # A floor at its bound stays there, and the others step without it.
        moved = np.clip(floors[left] + step[0], 0.0, highest[left]) - floors[left]
        bound = moved != step[0]
        if bound.any():
            push = gradient[1:, bound].T - moved[bound, None] * normal[bound][:, 0, 1:]
            step[1:, bound] = np.linalg.solve(damped[bound][:, 1:, 1:], push[:, :, None])[:, :, 0].T
            step[0] = moved
        tried = betas[:, left] + step[1:]
        tried_exps = np.exp(np.minimum(features @ tried, 50.0))
        tried_residual = losses[:, left] - (floors[left] + step[0]) - tried_exps
        tried_error = (tried_residual**2).sum(axis=0)
        better = tried_error < error
        floors[left] += np.where(better, step[0], 0.0)
        betas[:, left] = np.where(better, tried, betas[:, left])
        errors[left] = np.where(better, tried_error, error)
        is_done = np.abs((step * gradient).sum(axis=0)) <= enough * error
        going = ~is_done
        left = left[going]
        if not len(left):
            break
        exps = np.where(better, tried_exps, exps)[:, going]
        residual = np.where(better, tried_residual, residual)[:, going]
        error = np.where(better, tried_error, error)[going]
        damping = np.where(better, damping * 0.2, damping * 8.0)[going]
    return floors, betas, errors


def _normal(features: Floats, products: Floats, places: tuple[Ints, Ints], exps: Floats) -> Floats:
    """JᵀJ of every column, the floor first [columns, features + 1, features + 1]."""
    num, columns = features.shape[1], exps.shape[1]
    first, second = places
    normal = np.empty((columns, num + 1, num + 1))
    normal[:, 0, 0] = len(features)
    normal[:, 0, 1:] = normal[:, 1:, 0] = (features.T @ exps).T
    weighted = (products @ exps**2).T
    normal[:, first + 1, second + 1] = weighted
    normal[:, second + 1, first + 1] = weighted
    return normal
