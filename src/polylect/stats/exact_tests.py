"""McNemar's exact test for two models on the same items, and Holm's adjustment for many tests."""

import numpy as np


def mcnemar(worse: np.ndarray, better: np.ndarray) -> np.ndarray:
    """Two-sided exact p-values [N]: could as lopsided a split of the changed items be chance?

    Given the number of items that changed, each went either way with the same probability. No
    correction for continuity, no mid-p: the test keeps its level at any number of items, and is
    1 where nothing changed. It counts items as independent.

    Source: McNemar 1947; the exact conditional form.

    Args:
        worse: items right before and wrong after, int [N].
        better: items wrong before and right after, int [N].
    """
    from scipy.special import bdtr

    less, num = np.minimum(worse, better), worse + better
    return np.minimum(1.0, 2.0 * bdtr(less.astype(float), num, 0.5))


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values [N]: below a level they name none wrongly, in all but that share of cases.

    Source: Holm 1979. NaN stays NaN and is not counted among the tests.
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    left = len(known) - np.arange(len(known))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(left * p[order]))
    return adjusted
