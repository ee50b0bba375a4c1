"""McNemar's exact test for two models on the same items, and Holm's adjustment for many tests."""

import numpy as np


def mcnemar_exact(worse: np.ndarray, better: np.ndarray) -> np.ndarray:
    """Two-sided exact p-values of "items that changed got worse as often as better" [N].

    No correction for continuity, no mid-p: the test keeps its level at any number of items, and
    its p-value is 1 where nothing changed. It treats items as independent.

    Source: McNemar 1947; the exact conditional form.

    Args:
        worse: items right before and wrong after, int [N].
        better: items wrong before and right after, int [N].

    >>> mcnemar_exact(np.array([8, 0]), np.array([1, 0])).tolist()
    [0.0390625, 1.0]
    """
    from scipy.special import bdtr

    fewer, changed = np.minimum(worse, better), worse + better
    return np.minimum(1.0, 2.0 * bdtr(fewer.astype(float), changed, 0.5))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values, which control the family-wise error rate [N].

    NaN stays NaN and does not count as a test.

    Source: Holm 1979.

    >>> holm(np.array([0.01, 0.04, np.nan])).tolist()
    [0.02, 0.04, nan]
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    remaining = len(known) - np.arange(len(known))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(remaining * p[order]))
    return adjusted
