"""What a crowd is like: divergence, consistency, agreement with the majority, room, data per user.

The four axes are the paper's ("When Personalization Meets Reality", section 3); its formulas were
not available, so that those here are proposals: see docs/guides/people.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import one_blas_thread
from polylect.people.agreement import agreements
from polylect.people.consistency import Consistency, consistency_of
from polylect.people.crowd import Crowd, Seen, Text
from polylect.people.labels import labels_of
from polylect.people.model_halves import consistency_by_model
from polylect.people.resampling import bounds, user_weights, weighted_means

MIN_OVERLAP = 20
"""A user with fewer pairs on which others have a majority is in no minority and no majority."""
ONE_OTHER = "not compared with a majority: label of a pair that one other user labeled"
"""Ledger event: what one person says is no majority."""
FEW = (30, 100, 300)
"""Numbers of pairs that users may have fewer of."""


@dataclass(frozen=True)
class Figure:
    """A number about a crowd, with its interval over users.

    Attributes:
        name: what it is.
        value: None where the data do not say.
        lower, upper: the value plus and minus Student's t times the standard deviation over
            resamples of users, within the range of the value; None where the resamples are equal.
            A percentile interval would be off, since a user drawn twice agrees with himself.
        num: how many pairs or users it is of.
        of: what it counts, ``pairs`` or ``users``.
        is_share: a share between 0 and 1 (or, of room, a difference of two).
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    num: int
    of: str
    is_share: bool = True


@dataclass(frozen=True)
class Description:
    """What a crowd is like.

    Attributes:
        users: their names.
        figures: in order; see ``figure`` for their names.
        consistency: of each user, with the measure.
        pairs: preferences of each user [users].
        overlap: pairs of each user on which the others have a majority [users].
        agreement: share of these on which the user is with them; NaN without any [users].
        num_items: pairs of texts that were compared by anybody.
        alone: pairs of each user that one other user labeled: no majority [users].
    """

    users: tuple[str, ...]
    figures: tuple[Figure, ...]
    consistency: Consistency
    pairs: np.ndarray
    overlap: np.ndarray
    agreement: np.ndarray
    num_items: int
    alone: np.ndarray

    @property
    def is_decided(self) -> np.ndarray:
        """Whether a user has overlap enough to be in a minority or in none [users]."""
        return self.overlap >= MIN_OVERLAP

    @property
    def is_minority(self) -> np.ndarray:
        """Users who agree with the others' majority on less than half of enough pairs [users]."""
        return self.is_decided & (self.agreement < 0.5)

    def figure(self, name: str) -> Figure:
        """The figure of a name: ``divergence``, ``high divergence``, ``consistency``,
        ``agreement with the majority``, ``room for personalization``, ``minority users``,
        ``labels per pair``, ``pairs per user``, ``users under 30 pairs`` (100, 300).
        """
        return next(figure for figure in self.figures if figure.name == name)


def describe(
    crowd: Crowd,
    seed: int = 0,
    num_resamples: int = 200,
    see: Callable[[Sequence[Text]], Seen] | None = None,
) -> Description:
    """What a crowd is like, with intervals over users.

    For each pair, f is the share of its users who prefer the first text, m = min(f, 1 - f).
    Divergence is the share of pairs with m > 0 among those with two labels or more; high
    divergence that with m > 0.3. Agreement with the majority is, per user, the share of pairs on
    which the user is with the majority of all others, and then the mean over users; pairs without a
    majority do not count, nor pairs that one other user alone labeled (counted as ``alone``). A
    minority user agrees on less than half of at least ``MIN_OVERLAP`` pairs.
    Room is the mean of consistency minus agreement, over the users who have both.

    Args:
        crowd: preferences of users; those without any do not count.
        seed: decides the resamples.
        num_resamples: of the users, with replacement.
        see: an encoder, asked where consistency cannot be measured without a model of each user.
    """
    labels = labels_of(crowd)
    pairs = np.bincount(crowd.user, minlength=len(crowd.users))
    weights = user_weights(pairs > 0, seed, num_resamples)
    with one_blas_thread():
        agreed = agreements(labels, weights)
        consistency = consistency_of(labels, seed)
        if see is not None and not consistency.measure:
            consistency = consistency_by_model(crowd, see(crowd.texts).vectors, seed)
    rates, overlap = agreed.rates, agreed.overlap
    num_users = int((pairs > 0).sum())
    consistent = weighted_means(weights, consistency.value[None])
    with_majority = weighted_means(weights, rates)
    room = consistency.value[None] - rates
    few = {num: weighted_means(weights, _below(pairs, num)) for num in FEW}
    decided = overlap >= MIN_OVERLAP
    minority = np.where(decided, rates < 0.5, np.nan)
    with np.errstate(invalid="ignore"):
        divergent, highly = (x / agreed.compared for x in (agreed.divergent, agreed.highly))
    per_item = (weights @ np.bincount(labels.user, minlength=len(crowd.users))) / labels.num_items
    compared = int(agreed.compared[0])
    judged = int(np.isfinite(rates[0]).sum())
    of_users = _figures(num_users)
    of_pairs = _figures(num_users, "pairs")
    figures = [
        of_pairs("divergence", divergent, compared),
        of_pairs("high divergence", highly, compared),
        of_users("consistency", consistent, int(np.isfinite(consistency.value).sum())),
        of_users("agreement with the majority", with_majority, judged),
        of_users("room for personalization", weighted_means(weights, room),
                 int((np.isfinite(consistency.value) & np.isfinite(rates[0])).sum()), least=-1.0),
        of_users("minority users", weighted_means(weights, minority), int(decided[0].sum())),
        of_pairs("labels per pair", per_item, labels.num_items, most=np.inf, is_share=False),
        of_users("pairs per user", _medians(weights, pairs), num_users, most=np.inf,
                 is_share=False),
        *[
            of_users(f"users under {num} pairs", below, num_users) for num, below in few.items()
        ],
    ]  # fmt: skip
    return Description(crowd.users, tuple(figures), consistency, pairs,
                       overlap[0].astype(int), rates[0], labels.num_items,
                       agreed.alone[0].astype(int))  # fmt: skip


def _below(pairs: np.ndarray, num: int) -> np.ndarray:
    return (pairs < num).astype(float)[None]


def _medians(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted medians over users: halfway between the two in the middle [resamples]."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[:, order], axis=1)
    half = total[:, -1:] / 2
    low = (total < half).sum(1)
    high = (total <= half).sum(1)
    ranked = values[order]
    return (ranked[low] + ranked[np.minimum(high, len(values) - 1)]) / 2


def _figures(num_users: int, of: str = "users") -> Callable[..., Figure]:
    def figure(
        name: str, values: np.ndarray, num: int, *, least: float = 0.0, most: float = 1.0,
        is_share: bool = True,
    ) -> Figure:  # fmt: skip
        value = float(values[0])
        if not np.isfinite(value):
            return Figure(name, None, None, None, num, of, is_share)
        lower, upper = bounds(values, num_users, least, most)
        return Figure(name, value, lower, upper, num, of, is_share)

    return figure
