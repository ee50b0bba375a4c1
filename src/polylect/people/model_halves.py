"""Consistency where no text recurs: a model of half of a user's pairs predicts the other half."""

import numpy as np

from polylect.people.consistency import MIN_CASES, MIN_USERS, MODEL_HALVES, Consistency
from polylect.people.crowd import Crowd
from polylect.people.ratings import pair_keys

_MOST = 400


def consistency_by_model(crowd: Crowd, vectors: np.ndarray, seed: int = 0) -> Consistency:
    """How often a ridge regression on half of a user's pairs predicts the other half.

    A lower bound: whatever the vectors do not show looks inconsistent. No prompt is in both halves
    where there are several, otherwise no text (pairs between the halves are left out); at most 400
    pairs of a half are learned from. The penalty is the mean squared length of the differences.

    Args:
        crowd: preferences.
        vectors: of its texts [texts, width].
        seed: decides the halves.
    """
    by_prompt = len(np.unique(crowd.prompts)) > 1
    of_text = _halves(crowd.prompts if by_prompt else np.arange(len(crowd.texts)), seed)
    of_pair = _halves(crowd.chosen, seed, crowd.rejected)
    order = np.argsort(crowd.user, kind="stable")
    ends = np.searchsorted(crowd.user[order], np.arange(len(crowd.users) + 1))
    right, cases = np.zeros(len(crowd.users)), np.zeros(len(crowd.users))
    for user in range(len(crowd.users)):
        pairs = order[ends[user] : ends[user + 1]]
        texts = np.r_[crowd.chosen[pairs], crowd.rejected[pairs]]
        recurs = by_prompt or len(np.unique(texts)) < len(texts)
        sides = np.stack([of_text[texts[: len(pairs)]], of_text[texts[len(pairs) :]]])
        half = sides if recurs else np.stack([of_pair[pairs]] * 2)
        for learned, asked in ((half.all(0), ~half.any(0)), (~half.any(0), half.all(0))):
            if not learned.any() or not asked.any():
                continue
            known, new = (_differences(crowd, vectors, pairs[part]) for part in (learned, asked))
            side = np.sign(np.round(new @ _ridge(known[:_MOST]), 9))
            right[user] += float((1 + side).sum()) / 2
            cases[user] += len(side)
    value = np.full(len(crowd.users), np.nan)
    num_users = len(np.unique(crowd.user))
    enough = cases >= MIN_CASES
    if enough.sum() < max(1, MIN_USERS * num_users):
        return Consistency("", value, np.zeros(len(crowd.users)))
    np.divide(right, cases, out=value, where=enough)
    return Consistency(MODEL_HALVES, value, cases)


def _halves(first: np.ndarray, seed: int, second: np.ndarray | None = None) -> np.ndarray:
    """Whether each number, or pair of numbers, is in the second half."""
    a, b = (side.astype(np.uint64) for side in (first, first if second is None else second))
    return (pair_keys(a, b, seed) >> np.uint64(7) & np.uint64(1)).astype(bool)


def _differences(crowd: Crowd, vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return (vectors[crowd.chosen[pairs]] - vectors[crowd.rejected[pairs]]).astype(np.float64)


def _ridge(differences: np.ndarray) -> np.ndarray:
    """Weights under which each difference is near 1, by the dual of ridge regression [width]."""
    inner = differences @ differences.T
    penalty = max(float(np.trace(inner)) / len(inner), 1e-12)
    dual = np.linalg.solve(inner + penalty * np.eye(len(inner)), np.ones(len(inner)))
    return differences.T @ dual
