"""Whether two methods can be told apart: paired tests over users and over splits, by Holm.

Two things vary: which people there are, and which texts they are asked about. Over users: Student's
t on each user's difference. Over splits: Student's t on each split's difference, with a variance
that counts what the training parts share (Nadeau and Bengio 2003, "Inference for the Generalization
Error", the corrected resampled t-test). Two methods are separable where both tests say so.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from polylect.people.facets import Ranked
from polylect.stats import holm

MIN_USERS = 6
"""With fewer users, only the splits are tested: nothing is said of other people."""
LEVEL = 0.05
OPEN = "not separable"


@dataclass(frozen=True)
class Verdict:
    """Two methods, and whether they can be told apart.

    Attributes:
        first, second: names.
        difference: macro accuracy of the second minus that of the first.
        p_users: over users; None with fewer than ``MIN_USERS``.
        p_splits: over splits; None with fewer than two.
        p: the larger of them, adjusted for all differences that are tested together (Holm).
        verdict: ``better`` or ``worse`` (the second), or ``not separable``.
        holds_for: ``other users``, or ``these users``.
    """

    first: str
    second: str
    difference: float
    p_users: float | None
    p_splits: float | None
    p: float
    verdict: str
    holds_for: str


def method_verdicts(ranked: Ranked, test_share: float, reference: str = "") -> list[Verdict]:
    """Verdicts on every method against a reference, or on every two methods.

    Args:
        ranked: held-out pairs of all splits.
        test_share: of the data that each split holds out.
        reference: a method; empty for every two.
    """
    names = ranked.methods
    if reference:
        at = names.index(reference)
        pairs = [(at, i) for i in range(len(names)) if i != at]
    else:
        pairs = list(combinations(range(len(names)), 2))
    by_user = ranked.accuracy()
    splits = np.unique(ranked.split)
    by_split = np.stack(
        [np.nanmean(ranked.accuracy(ranked.split == split), axis=1) for split in splits], axis=1
    )
    by_user = by_user[:, np.isfinite(by_user[0])]
    has_users = by_user.shape[1] >= MIN_USERS
    share = test_share / (1 - test_share)
    rows = []
    for a, b in pairs:
        users, parts = by_user[b] - by_user[a], by_split[b] - by_split[a]
        p_users = t_test(users, 1 / len(users)) if has_users else None
        p_splits = t_test(parts, 1 / len(parts) + share)
        rows.append((float(users.mean()), p_users, p_splits))
    adjusted = holm(np.array([_larger(*row[1:]) for row in rows]))
    return [
        Verdict(
            names[a], names[b], difference, p_users, p_splits, float(p),
            _verdict(difference, float(p)), "other users" if has_users else "these users",
        )
        for (a, b), (difference, p_users, p_splits), p in zip(pairs, rows, adjusted, strict=True)
    ]  # fmt: skip


def _larger(p_users: float | None, p_splits: float | None) -> float:
    """The larger p-value; NaN for a single split, which says nothing of others."""
    if p_splits is None:
        return float("nan")
    return p_splits if p_users is None else max(p_users, p_splits)


def _verdict(difference: float, p: float) -> str:
    if not p < LEVEL:
        return OPEN
    return "better" if difference > 0 else "worse"


def t_test(differences: np.ndarray, factor: float) -> float | None:
    """Two-sided p-value of "the mean difference is 0", by Student's t.

    1 where all are equal: differences that do not vary are few, or of one and the same case, and
    say nothing of how far they could. None for a single difference.

    Args:
        differences: one per unit.
        factor: times their variance, the variance of their mean: 1 / number where they are
            independent.
    """
    from scipy.special import stdtr

    if len(differences) < 2:
        return None
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    if variance < 1e-24:
        return 1.0
    return float(2 * stdtr(len(differences) - 1, -abs(mean) / np.sqrt(factor * variance)))
