"""Ranks with their uncertainty, and how many more votes would separate two models."""

from dataclasses import dataclass

import numpy as np

from polylect.base import generator
from polylect.ranking.counts import FloatArray, IntArray, PairCounts
from polylect.ranking.ratings import ELO_PER_NAT, EQUAL, Ratings
from polylect.stats import two_sided_z

_MAX_DRAWS = 20000
_MIN_DRAWS = 1000
_BLOCK_DRAWS = 500
_NUM_DIFFERENCES = 10**8


@dataclass(frozen=True, eq=False, slots=True)
class RankSets:
    """Ranks of models, 1 the best; arrays in the order of ``Ratings.models``.

    Attributes:
        rank: by rating, 1 + number of better models: equal ratings have the same.
        low, high: simultaneous 95 % sets: in at least 95 % of repetitions every true rank is in its
            set.
        marginal_low, marginal_high: 95 % set for each model looked at alone.
        separated: 1 + number of models whose interval lies wholly above this one's: the rank that
            Chatbot Arena shows.
    """

    rank: IntArray
    low: IntArray
    high: IntArray
    marginal_low: IntArray
    marginal_high: IntArray
    separated: IntArray


def rank_sets(ratings: Ratings, seed: int = 0) -> RankSets:
    """Rank sets from simultaneous intervals of rating differences.

    A model's best possible rank counts the models that are surely above it, its worst possible rank
    those that are not surely below it. "Surely" is a studentized difference beyond the 95 %
    quantile of the largest one under the fitted covariance, over all pairs (simultaneous) or over
    the pairs with this model (marginal): Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for
    Ranks with Applications to Mobility across Neighborhoods and Academic Achievement across
    Countries", with normal draws in place of their bootstrap and without their stepwise part. The
    sets are therefore wider than they need to be (99.9 % in simulations, benchmarks/logs/rank.md).

    Args:
        ratings: any fit with a covariance.
        seed: of the draws for the quantile: 20,000 up to 70 models, 1,000 above 300.
    """
    size = len(ratings.models)
    error = ratings.difference_error / ELO_PER_NAT
    everywhere, alone = _critical(ratings, error, seed)
    gap = ratings.strength[:, None] - ratings.strength[None, :]
    low, high = _sets(gap, everywhere * error)
    marginal_low, marginal_high = _sets(gap, alone[:, None] * error)
    lower, upper = ratings.bounds
    separated = 1 + size - np.searchsorted(np.sort(lower), upper, side="right")
    return RankSets(
        ratings.rank, low, high, marginal_low, marginal_high, separated.astype(np.int64)
    )


def votes_to_separate(
    counts: PairCounts, ratings: Ratings, better: int, worse: int, power: float = 0.8
) -> tuple[float | None, float | None]:
    """Further votes after which two models' difference is significant, if the estimate is true.

    Args:
        counts: what was fitted.
        ratings: the fit.
        better: position of a model.
        worse: position of another model.
        power: probability that the interval of the difference then excludes zero.

    Returns:
        Votes over the whole board, in today's mix of pairs; and direct votes between the two. Both
        are 0 if there are enough already, None if the two ratings are equal (``EQUAL``). The
        direct number adds their information as independent of today's, which a quadratic
        log-likelihood allows.
    """
    from scipy.special import ndtri

    difference = abs(float(ratings.strength[better] - ratings.strength[worse]))
    if difference <= EQUAL:
        return None, None
    now = float(ratings.difference_error[better, worse] / ELO_PER_NAT) ** 2
    needed = (difference / (two_sided_z(ratings.level) + float(ndtri(power)))) ** 2
    if now <= needed:
        return 0.0, 0.0
    win = 1.0 / (1.0 + np.exp(-difference))
    shares = counts.shares()
    bernoulli = win * (1.0 - win)
    # Ties reduce the variance: E(y − p)² = p(1 − p) − P(tie)/4.
    spread = max(bernoulli - (shares["tie"] + shares["both_bad"]) / 4.0, 0.05 * bernoulli)
    direct = (1.0 / needed - 1.0 / now) * spread / bernoulli**2
    return float(np.ceil(counts.num_votes * (now / needed - 1.0))), float(np.ceil(direct))


def _critical(ratings: Ratings, error: FloatArray, seed: int) -> tuple[float, FloatArray]:
    """Quantile of the largest studentized difference: over all pairs, and over each model's."""
    size = len(ratings.models)
    if size < 2:
        return 0.0, np.zeros(size)
    values, vectors = np.linalg.eigh(ratings.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    inverse = np.divide(1.0, error, out=np.zeros_like(error), where=error > 0)
    rng = generator(seed, "rank sets")
    num_draws = int(min(_MAX_DRAWS, max(_MIN_DRAWS, _NUM_DIFFERENCES // size**2)))
    num_draws -= num_draws % _BLOCK_DRAWS
    largest = np.empty((num_draws, size))
    for start in range(0, num_draws, _BLOCK_DRAWS):
        draws = np.ascontiguousarray((rng.standard_normal((_BLOCK_DRAWS, size)) @ root.T).T)
        block = largest[start : start + _BLOCK_DRAWS]
        for i in range(size):
            block[:, i] = (np.abs(draws - draws[i]) * inverse[i][:, None]).max(0)
    # A single difference already needs the normal quantile; random draws must not fall below it.
    least = two_sided_z(ratings.level)
    everywhere = float(np.quantile(largest.max(1), ratings.level))
    alone = np.quantile(largest, ratings.level, axis=0)
    return max(everywhere, least), np.maximum(alone, least)


def _sets(gap: FloatArray, margin: FloatArray) -> tuple[IntArray, IntArray]:
    """Lowest and highest rank of each model; a gap beyond the margin decides a pair."""
    size = len(gap)
    surely_above = (gap < -margin).sum(1)
    surely_below = (gap > margin).sum(1)
    return 1 + surely_above, size - surely_below
