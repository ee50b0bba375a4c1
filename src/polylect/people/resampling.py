"""Resamples of users: how often each is drawn, and the interval that the draws give a figure."""

import numpy as np

from polylect.base import generator
from polylect.stats import student_half_width

LEVEL = 0.95
"""Of all intervals over users."""


def user_weights(is_there: np.ndarray, seed: int, num_resamples: int) -> np.ndarray:
    """How often each user is drawn; the first row is the crowd itself [1 + resamples, users]."""
    num = int(is_there.sum())
    draws = generator(seed, "users").multinomial(num, np.full(num, 1 / num), num_resamples)
    weights = np.zeros((1 + num_resamples, len(is_there)))
    weights[:, is_there] = np.concatenate([np.ones((1, num)), draws])
    return weights


def weighted_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted means over the users that have a value, NaN without any [resamples]."""
    there = np.where(np.isfinite(values), weights, 0.0)
    with np.errstate(invalid="ignore"):
        return (there * np.nan_to_num(values)).sum(1) / there.sum(1)


def bounds(
    values: np.ndarray, num_users: int, least: float = 0.0, most: float = 1.0
) -> tuple[float | None, float | None]:
    """The first value plus and minus Student's t times the standard deviation of the others.

    A percentile interval would be off where a user drawn twice agrees with himself, or where the
    figure is an extreme of the users. None where the resamples are equal, or there is one user.

    Args:
        values: of the crowd itself, then of its resamples; those that are not finite are left out.
        num_users: behind the figure.
        least: that the figure can be.
        most: likewise.
    """
    others = values[1:][np.isfinite(values[1:])]
    spread = float(others.std(ddof=1)) if len(others) > 1 else 0.0
    spread = spread if spread > 1e-12 else 0.0
    half = float(student_half_width(np.array([spread]), np.array([num_users]), LEVEL)[0])
    if not np.isfinite(half):
        return None, None
    return max(least, float(values[0]) - half), min(most, float(values[0]) + half)
