"""How far a user agrees with himself: the first of three measures that the data allow.

Reliability as behavioral science measures it; the paper's own formulas were not available (see
docs/guides/people.md). All are shares between 0 and 1 per user.
"""

from dataclasses import dataclass

import numpy as np

from polylect.people.labels import Labels, renumbered
from polylect.people.ratings import pair_keys

RETEST, TRIPLES, HALVES = "test-retest", "transitive triples", "split-half"
MEASURES = (RETEST, TRIPLES, HALVES)
MODEL_HALVES = "split-half of a model"
"""Where none of these can be measured; see ``model_halves``."""
MIN_CASES = 10
"""Least number of repeated pairs, triples or predicted pairs of a user."""
MIN_USERS = 0.5
"""Least share of the users who have so many."""
_ORDERED_CASES = 200
_DENSE_TEXTS = 512
_ENTRIES = 200_000
_CHECKED = 1_000_000


@dataclass(frozen=True)
class Consistency:
    """How consistent each user is.

    Attributes:
        measure: a name of ``MEASURES``, or ``MODEL_HALVES``; empty where the data allow none.
        value: share per user; NaN where a user has fewer than ``MIN_CASES`` [users].
        num_cases: what each share is of [users].
        is_ordered: nobody contradicts an order, as where pairs were made of ratings: triples then
            say nothing, and halves too much.
    """

    measure: str
    value: np.ndarray
    num_cases: np.ndarray
    is_ordered: bool = False


def consistency_of(labels: Labels, seed: int = 0) -> Consistency:
    """Consistency of every user by the first measure that half of the users have cases for.

    ``test-retest``: of two labels that a user gave the same pair, the share that is equal.
    ``transitive triples``: of three texts that a user compared with each other, the share without
    a cycle; left out where nobody has a cycle, since pairs were then made of an order.
    ``split-half``: a user's pairs are halved; the share of wins of each text in one half predicts
    the other, ties half right, and the two directions are averaged by their cases.

    Args:
        labels: of the crowd.
        seed: decides the halves.
    """
    is_ordered = False
    for measure in MEASURES:
        if measure == RETEST:
            right, cases = _repeated(labels)
        elif measure == TRIPLES:
            right, cases = _triples(labels)
            is_ordered = bool(cases.sum() >= _ORDERED_CASES and (right == cases).all())
        else:
            right, cases = _halves(labels, seed)
            is_ordered = is_ordered or (cases.sum() > 0 and _has_no_cycle(labels))
        enough = cases >= MIN_CASES
        says_something = not (measure == TRIPLES and is_ordered)
        if says_something and enough.sum() >= max(1, MIN_USERS * _active(labels)):
            value = np.full(labels.num_users, np.nan)
            np.divide(right, cases, out=value, where=enough)
            return Consistency(measure, value, cases, is_ordered)
    nothing = np.full(labels.num_users, np.nan)
    return Consistency("", nothing, np.zeros(labels.num_users), is_ordered)


def _active(labels: Labels) -> int:
    return int((np.bincount(labels.user, minlength=1) > 0).sum())


def _repeated(labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Equal and all pairs of labels that a user gave one item, float64 [users] each."""
    if labels.num_labels.max(initial=1) == 1:
        return np.zeros(labels.num_users), np.zeros(labels.num_users)
    num, first = labels.num_labels.astype(float), labels.num_first.astype(float)
    second = num - first
    equal = (first * (first - 1) + second * (second - 1)) / 2
    return _sum(labels, labels.user, equal), _sum(labels, labels.user, num * (num - 1) / 2)


def _sum(labels: Labels, user: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.bincount(user, weights, labels.num_users).astype(float)


def _triples(labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Triples of each user without a cycle, and all."""
    right, cases = np.zeros(labels.num_users), np.zeros(labels.num_users)
    ends = np.searchsorted(labels.user, np.arange(labels.num_users + 1))
    up = labels.label > 0
    winner = np.where(up, labels.first[labels.item], labels.second[labels.item])
    loser = np.where(up, labels.second[labels.item], labels.first[labels.item])
    said = labels.label != 0
    num_texts = int(labels.second.max(initial=0)) + 1
    for user in range(labels.num_users):
        part = slice(ends[user], ends[user + 1])
        if part.stop - part.start < 3:
            continue
        won, lost = _recurring(winner[part][said[part]], loser[part][said[part]], num_texts)
        if len(won) >= 3:
            cases[user], cyclic = _count_triples(won, lost)
            right[user] = cases[user] - cyclic
    return right, cases


def _recurring(won: np.ndarray, lost: np.ndarray, num_texts: int) -> tuple[np.ndarray, np.ndarray]:
    """The comparisons between texts that each occur twice or more, numbered from 0."""
    while len(won):
        counts = np.bincount(won, minlength=num_texts) + np.bincount(lost, minlength=num_texts)
        kept = (counts[won] > 1) & (counts[lost] > 1)
        if kept.all():
            break
        won, lost = won[kept], lost[kept]
    _, both = renumbered(np.concatenate([won, lost]).astype(np.int64), num_texts)
    return both[: len(won)], both[len(won) :]


def _count_triples(won: np.ndarray, lost: np.ndarray) -> tuple[float, float]:
    """Triples of texts that were all compared, and those of them that are cyclic."""
    num = int(max(won.max(), lost.max())) + 1
    if num <= _DENSE_TEXTS:
        beats = np.zeros((num, num), np.float32)
        beats[won, lost] = 1
        compared = beats + beats.T
        cyclic = ((beats @ beats) * beats.T).sum(dtype=np.float64)
        return round(((compared @ compared) * compared).sum(dtype=np.float64)) / 6, round(
            cyclic
        ) / 3
    from scipy.sparse import csr_array

    sparse = csr_array((np.ones(len(won)), (won, lost)), shape=(num, num))
    both = sparse + sparse.T
    return (both @ both * both).sum() / 6, (sparse @ sparse * sparse.T).sum() / 3


def _has_no_cycle(labels: Labels) -> bool:
    """Whether each user's preferences fit an order of the texts; of the first million labels."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    said = np.flatnonzero(labels.label[:_CHECKED])
    begin = labels.user[said].astype(np.int64) * (int(labels.second.max(initial=0)) + 1)
    ends = [begin + side[labels.item[said]] for side in (labels.first, labels.second)]
    keys, both = np.unique(np.concatenate(ends), return_inverse=True)
    is_first = labels.label[said] > 0
    a, b = both[: len(said)], both[len(said) :]
    won, lost = np.where(is_first, a, b), np.where(is_first, b, a)
    graph = csr_array((np.ones(len(said), np.int8), (won, lost)), shape=(len(keys),) * 2)
    return connected_components(graph, connection="strong")[0] == len(keys)


def _halves(labels: Labels, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one half that the shares of wins in the other predict, and all that they could."""
    first, second = (side.astype(np.uint64) for side in (labels.first, labels.second))
    half = (pair_keys(first, second, seed) >> np.uint64(7) & np.uint64(1)).astype(bool)
    right, cases = np.zeros(labels.num_users), np.zeros(labels.num_users)
    ends = np.searchsorted(labels.user, np.arange(labels.num_users + 1))
    start = 0
    while start < labels.num_users:
        # Some users at a time, so that their counts stay in the processor's cache.
        end = int(np.searchsorted(ends, ends[start] + _ENTRIES, side="right")) - 1
        end = min(max(end, start + 1), labels.num_users)
        part = np.arange(ends[start], ends[end])
        part = part[labels.label[part] != 0]
        _add_halves(labels, part, start, half[labels.item[part]], right, cases)
        start = end
    return right, cases


def _add_halves(
    labels: Labels,
    part: np.ndarray,
    start: int,
    half: np.ndarray,
    right: np.ndarray,
    cases: np.ndarray,
) -> None:
    """Count what each half of some entries predicts of the other, by user, from ``start`` on."""
    user, item, label = labels.user[part], labels.item[part], labels.label[part]
    num_texts = int(labels.second.max(initial=0)) + 1
    begin = (user - start).astype(np.int64) * num_texts
    both = np.concatenate([begin + labels.first[item], begin + labels.second[item]])
    keys, both = renumbered(both, int(both.max(initial=-1)) + 1)
    a, b, num = both[: len(part)], both[len(part) :], len(keys)
    for learned, asked in ((half, ~half), (~half, half)):
        won, lost, sign = a[learned], b[learned], label[learned]
        times = np.bincount(won, minlength=num) + np.bincount(lost, minlength=num)
        balance = np.bincount(won, sign, num) - np.bincount(lost, sign, num)
        score = np.where(times > 0, balance / np.maximum(times, 1), np.nan)
        side = np.sign(score[a[asked]] - score[b[asked]]) * label[asked]
        known = ~np.isnan(side)
        whose = user[asked][known]
        right += np.bincount(whose, (1 + side[known]) / 2, labels.num_users)
        cases += np.bincount(whose, minlength=labels.num_users)
