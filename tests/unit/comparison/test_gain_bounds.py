"""Bounds of paired gains of shares: they hold with few items, and never leave the scale."""

import numpy as np
import pytest
from scipy.special import stdtrit

from polylect.comparison.bounds import gain_bounds
from polylect.stats import Widths


@pytest.mark.parametrize("num", [4, 6, 8, 12, 20, 50])
def test_bounds_of_few_paired_items_hold_and_stay_on_the_scale(num):
    # Shares of items that fell, rose and stayed, drawn evenly; standard errors as in cells.py.
    random = np.random.default_rng(num)
    shares = random.dirichlet([1, 1, 1], 4000)
    counts = random.multinomial(num, shares)
    gain = (counts[:, 1] - counts[:, 0]) / num
    variance = ((counts[:, 1] + counts[:, 0]) / num - gain**2) / (num - 1)
    error = np.sqrt(np.maximum(variance, 3 / num**2))
    critical = np.full(len(gain), stdtrit(num - 1, 0.975))
    widths = Widths(critical * error, error, critical, np.full(len(gain), float(num)))
    lower, upper = gain_bounds(gain, np.ones(len(gain)), widths)
    truth = shares[:, 1] - shares[:, 0]
    covered = ((lower <= truth) & (truth <= upper)).mean()
    # 4,000 worlds: a standard error of 0.35 %.
    assert covered > 0.943
    assert lower.min() >= -1
    assert upper.max() <= 1
    assert ((lower <= gain) & (gain <= upper)).all()
    assert (upper - lower).min() > 1 / num
    # Symmetric bounds are wider, and of few items mostly impossible.
    assert (upper - lower).mean() < 2 * (critical * error).mean()
    # Swapping the sides swaps the bounds.
    swapped = gain_bounds(-gain, np.ones(len(gain)), widths)
    assert np.allclose(swapped[0], -upper)
    assert np.allclose(swapped[1], -lower)


def test_without_a_scale_bounds_are_symmetric_and_without_an_error_infinite():
    widths = Widths(
        np.array([0.5, np.inf]), np.array([0.25, 0.1]), np.array([2.0, np.inf]), np.array([9.0, 2])
    )
    lower, upper = gain_bounds(np.array([0.1, 0.1]), np.array([np.nan, 1.0]), widths)
    assert lower.tolist() == [-0.4, -np.inf]
    assert upper.tolist() == [0.6, np.inf]
