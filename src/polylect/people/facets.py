"""Whom each method serves: performance and fairness, with intervals over users.

The facets are those of "When Personalization Meets Reality" (Dong et al. 2025, arXiv 2502.19158,
section 4) as noted by others; the formulas are proposals, since the paper's could not be seen.
Nothing here knows how a method learns, or how the data were divided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from polylect.people.agreement import HIGH_DIVERGENCE, MIN_OTHERS
from polylect.people.crowd import Crowd
from polylect.people.description import Figure
from polylect.people.labels import labels_of
from polylect.people.resampling import bounds, user_weights, weighted_means

PERFORMANCE, FAIRNESS = "performance", "fairness"


@dataclass(frozen=True)
class Ranked:
    """Held-out pairs, and whether each method ranks them as their user does.

    Attributes:
        methods: names.
        users: names, in the order of ``user``'s numbers.
        user: whose each row is, int [rows].
        split: which division of the data it was held out by, numbers from 0, int [rows].
        pair: its number in the crowd, int [rows].
        right: 1 where the method ranks the pair as the user, 0.5 where both sides have equal
            scores, else 0, float [methods, rows].
    """

    methods: tuple[str, ...]
    users: tuple[str, ...]
    user: np.ndarray
    split: np.ndarray
    pair: np.ndarray
    right: np.ndarray

    def accuracy(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Share of right rows of each user, NaN without any [methods, users].

        Args:
            rows: a mask of the rows that count; default all.
        """
        num = self.num_pairs(rows)
        with np.errstate(invalid="ignore"):
            return self.num_right(rows) / num

    def num_pairs(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Rows of each user [users]."""
        user = self.user if rows is None else self.user[rows]
        return np.bincount(user, minlength=len(self.users))

    def num_right(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Right rows of each user [methods, users]."""
        user, right = self.user, self.right
        if rows is not None:
            user, right = user[rows], right[:, rows]
        return np.stack([np.bincount(user, row, len(self.users)) for row in right])


@dataclass(frozen=True)
class Facet:
    """A figure of a method, and how far it is from the reference's.

    Attributes:
        method: name.
        facet: ``performance`` or ``fairness``.
        figure: with its interval over users.
        change: the figure minus the reference's, on the same resamples of the users; None for the
            reference itself.
    """

    method: str
    facet: str
    figure: Figure
    change: Figure | None


def pair_slices(crowd: Crowd) -> Mapping[str, np.ndarray]:
    """Which pairs everybody agrees on, and on which a user is alone: masks [pairs] by name.

    f is the share of users who prefer the first text of a pair, m = min(f, 1 - f). Over pairs that
    two users or more labeled: ``consensus`` m = 0, ``divergent`` m > 0, ``highly divergent`` m >
    0.3. ``with the majority`` and ``against the majority``: the user's label, beside the majority
    of at least two others. Labels of test pairs count, too: the slices say what a pair is like.
    """
    labels = labels_of(crowd)
    label = labels.label.astype(np.int64)
    present = (label != 0).astype(np.int64)
    total = np.bincount(labels.item, present, labels.num_items)
    balance = np.bincount(labels.item, label, labels.num_items)
    smaller = (total - np.abs(balance)) / 2 / np.maximum(total, 1)
    enough = total[labels.item] - present >= MIN_OTHERS
    others = np.sign(balance[labels.item] - label) * enough
    keys = labels.user.astype(np.int64) * labels.num_items + labels.item
    low, high = np.minimum(crowd.chosen, crowd.rejected), np.maximum(crowd.chosen, crowd.rejected)
    num_texts = len(crowd.texts)
    item_keys = labels.first.astype(np.int64) * num_texts + labels.second
    item = np.searchsorted(item_keys, low.astype(np.int64) * num_texts + high)
    entry = np.searchsorted(keys, crowd.user.astype(np.int64) * labels.num_items + item)
    mine = np.where(crowd.chosen == low, 1, -1)
    compared, side = total[item] >= 2, others[entry]
    return {
        "consensus": compared & (smaller[item] == 0),
        "divergent": compared & (smaller[item] > 0),
        "highly divergent": compared & (smaller[item] > HIGH_DIVERGENCE + 1e-9),
        "with the majority": side == mine,
        "against the majority": side == -mine,
    }


def measure_facets(
    ranked: Ranked,
    is_minority: np.ndarray,
    is_decided: np.ndarray,
    slices: Mapping[str, np.ndarray] | None = None,
    *,
    reference: str = "",
    seed: int = 0,
    num_resamples: int = 200,
) -> list[Facet]:
    """Performance and fairness of every method, a reference's figures beside them.

    Performance: ``macro``, the unweighted mean over users of the share of pairs that are ranked as
    the user does; ``micro``, of all pairs; macro within each slice. Fairness, of the users' shares:
    ``worst user``; ``worst tenth``, the mean of the tenth of users (rounded up) that is served
    worst; ``gap``, best minus worst; ``sd``; ``gini``; ``minority`` and ``majority``, the means of
    users in and not in a minority; ``protection ratio``, (minority - 0.5) / (majority - 0.5), none
    where the majority is not above chance. Extremes are biased: the worst of noisy shares is worse
    than the worst user.

    Args:
        ranked: held-out pairs.
        is_minority: of each user; see ``Description.is_minority``.
        is_decided: users who are in a minority or in none; the others are in neither mean.
        slices: masks of the pairs of the crowd; see ``pair_slices``.
        reference: name of the method that others are compared to; default the first.
        seed: decides the resamples of the users, which are the same for all methods.
        num_resamples: with replacement.
    """
    num = ranked.num_pairs()
    is_there = num > 0
    weights = user_weights(is_there, seed, num_resamples)[:, is_there]
    num, right, accuracy = num[is_there], ranked.num_right()[:, is_there], ranked.accuracy()
    accuracy = accuracy[:, is_there]
    is_in = np.where(is_decided, is_minority, np.nan)[is_there]
    at = ranked.methods.index(reference) if reference else 0
    rows: list[Facet] = []

    def add(facet: str, name: str, statistic: Callable[[int], np.ndarray], num_users: int,
            of: str = "users", least: float = 0.0, most: float = 1.0) -> None:  # fmt: skip
        all_values = [statistic(i) for i in range(len(ranked.methods))]
        span = most - least
        for i, method in enumerate(ranked.methods):
            change = None
            if i != at:
                change = _figure(name, all_values[i] - all_values[at], num_users, of, -span, span)
            figure = _figure(name, all_values[i], num_users, of, least, most)
            rows.append(Facet(method, facet, figure, change))

    size = len(num)
    add(PERFORMANCE, "macro", lambda i: weighted_means(weights, accuracy[i][None]), size)
    add(PERFORMANCE, "micro", lambda i: (weights @ right[i]) / (weights @ num), size)
    for name, mask in (slices or {}).items():
        part = ranked.accuracy(mask[ranked.pair])[:, is_there]
        there = int(np.isfinite(part[0]).sum())
        add(PERFORMANCE, name, lambda i, p=part: weighted_means(weights, p[i][None]), there)
    spreads = {"worst user": worst, "worst tenth": worst_tenth, "gap": gap, "sd": spread,
               "gini": gini}  # fmt: skip
    for name, of_users in spreads.items():
        add(FAIRNESS, name, lambda i, f=of_users: f(accuracy[i], weights), size)
    inside = {"minority": is_in == 1, "majority": is_in == 0}
    means = {
        name: [weighted_means(weights, np.where(who, row, np.nan)[None]) for row in accuracy]
        for name, who in inside.items()
    }
    for name, who in inside.items():
        add(FAIRNESS, name, lambda i, n=name: means[n][i], int(who.sum()))
    add(FAIRNESS, "protection ratio",
        lambda i: protection_ratio(means["minority"][i], means["majority"][i]),
        int(inside["minority"].sum()), least=-inf, most=inf)  # fmt: skip
    return rows


def _figure(name: str, values: np.ndarray, num: int, of: str, least: float, most: float) -> Figure:
    is_share = most - least < inf
    value = float(values[0])
    if not np.isfinite(value):
        return Figure(name, None, None, None, num, of, is_share)
    return Figure(name, value, *bounds(values, num, least, most), num, of, is_share)


def worst(accuracy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The least accuracy of the users drawn [resamples].

    Args:
        accuracy: of each user [users].
        weights: how often each is drawn [resamples, users].
    """
    return np.where(weights > 0, accuracy, inf).min(axis=1)


def gap(accuracy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The largest minus the least accuracy of the users drawn [resamples]."""
    return np.where(weights > 0, accuracy, -inf).max(axis=1) - worst(accuracy, weights)


def worst_tenth(accuracy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean accuracy of the tenth of the draws, rounded up, that is lowest [resamples]."""
    order = np.argsort(accuracy, kind="stable")
    drawn = weights[:, order]
    num = ceil(drawn[0].sum() / 10)
    before = np.cumsum(drawn, axis=1) - drawn
    taken = np.clip(num - before, 0, drawn)
    return taken @ accuracy[order] / num


def spread(accuracy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standard deviation over the draws, not corrected for their number [resamples]."""
    total = weights.sum(axis=1)
    mean = weights @ accuracy / total
    return np.sqrt(np.maximum(weights @ accuracy**2 / total - mean**2, 0.0))


def gini(accuracy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gini's coefficient: mean difference of two draws over twice their mean [resamples].

    0 where all users are served alike. Source: Gini 1912; as in welfare economics, of accuracies.

    >>> gini(np.array([0.0, 1.0]), np.ones((1, 2))).tolist()
    [0.5]
    """
    order = np.argsort(accuracy, kind="stable")
    drawn, values = weights[:, order], accuracy[order]
    total = drawn.sum(axis=1, keepdims=True)
    rank = 2 * np.cumsum(drawn, axis=1) - drawn - total
    mean = drawn @ values
    with np.errstate(invalid="ignore"):
        return np.where(mean > 0, (drawn * rank) @ values / (total[:, 0] * mean), 0.0)


def protection_ratio(minority: np.ndarray, majority: np.ndarray) -> np.ndarray:
    """What a minority has above chance, over what the majority has; NaN where that is nothing."""
    return np.where(majority > 0.5, (minority - 0.5) / np.where(majority > 0.5, majority - 0.5, 1),
                    np.nan)  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """Accuracy of users left out of the training, by how many of their pairs were learned from.

    Attributes:
        methods: names.
        numbers: of pairs, ascending; ``ALL_PAIRS`` stands for all of a user's.
        user: each row is a user left out by a split, int [rows].
        split: of the row, int [rows].
        available: pairs that the user has to learn from, int [rows].
        accuracy: on the user's held-out pairs; a user with fewer pairs than a number is there with
            all of them [methods, numbers, rows].
    """

    methods: tuple[str, ...]
    numbers: tuple[int, ...]
    user: np.ndarray
    split: np.ndarray
    available: np.ndarray
    accuracy: np.ndarray

    def means(self) -> np.ndarray:
        """Mean over users, each the mean of its rows [methods, numbers].

        NaN where fewer than half of the rows have that many pairs.
        """
        is_reached = [self._has(num).mean() >= 0.5 if len(self.user) else False
                      for num in self.numbers]  # fmt: skip
        return np.array([[_mean_of_users(row, self.user) if there else float("nan")
                          for row, there in zip(rows, is_reached, strict=True)]
                         for rows in self.accuracy])  # fmt: skip

    def num_users(self) -> list[int]:
        """Users who have that many pairs, for each number."""
        return [len(set(self.user[self._has(num)].tolist())) for num in self.numbers]

    def _has(self, num: int) -> np.ndarray:
        return self.available >= (0 if num == ALL_PAIRS else num)


ALL_PAIRS = 1_000_000_000
"""A number of pairs that no user has: all pairs are taken."""


def _mean_of_users(values: np.ndarray, user: np.ndarray) -> float:
    there = np.isfinite(values)
    if not there.any():
        return float("nan")
    num = np.bincount(user[there])
    total = np.bincount(user[there], values[there])
    return float((total[num > 0] / num[num > 0]).mean())


def pairs_needed(
    numbers: Sequence[int], accuracy: Sequence[float] | np.ndarray, target: float
) -> int | None:
    """The least of the numbers of pairs whose accuracy reaches a target; None if none does.

    >>> pairs_needed([0, 10, 30], [0.5, 0.7, 0.8], 0.75)
    30
    """
    for num, value in zip(numbers, accuracy, strict=True):
        if value >= target:
            return num
    return None


def overtakes(
    numbers: Sequence[int],
    accuracy: Sequence[float] | np.ndarray,
    other: Sequence[float] | np.ndarray,
) -> int | None:
    """The least number of pairs from which on an accuracy is above another; None if it is not.

    >>> overtakes([0, 10, 30], [0.5, 0.6, 0.9], [0.5, 0.7, 0.7])
    30
    """
    first = None
    for num, value, beside in zip(numbers, accuracy, other, strict=True):
        if not (np.isfinite(value) and np.isfinite(beside)):
            continue
        if value <= beside:
            first = None
        elif first is None:
            first = num
    return first
