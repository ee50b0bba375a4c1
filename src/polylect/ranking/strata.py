"""A fit per stratum (a language, a category, a task), and the average of strata at fixed shares."""

from collections.abc import Callable, Mapping

import numpy as np

from polylect.base import InputError, UndecidableError
from polylect.ranking.bradley_terry import fit_bradley_terry
from polylect.ranking.components import identify
from polylect.ranking.counts import PairCounts
from polylect.ranking.ratings import Ratings


def fit_strata(
    strata: Mapping[str, PairCounts], fit: Callable[[PairCounts], Ratings] = fit_bradley_terry
) -> dict[str, Ratings]:
    """Ratings of each stratum, over the models whose strength is finite in it.

    Args:
        strata: counts by name, as ``VoteTable.strata`` returns them.
        fit: fits the counts of a stratum.

    Returns:
        Ratings by stratum. A stratum whose largest finite core has fewer than two models is left
        out: compare the keys.
    """
    ratings = {}
    for name, counts in strata.items():
        core = identify(counts).largest_core
        if len(core) >= 2:
            ratings[name] = fit(counts.restricted(core)).with_stratum(name)
    return ratings


def combine_strata(ratings: Mapping[str, Ratings], shares: Mapping[str, float]) -> Ratings:
    """The average of the strata's strengths at fixed shares, over the models that all strata rate.

    Direct standardization: a model's rating no longer depends on which strata its votes came from.
    A pooled fit goes wrong when a model is retired while the mix of tasks changes ("The Leaderboard
    Illusion", its simulation with a changing task mix). Strata are independent: covariances add.

    Args:
        ratings: by stratum.
        shares: by stratum; they are scaled to sum to 1.

    Raises:
        InputError: a share is missing, negative, or all are zero.
        UndecidableError: fewer than two models are rated in every stratum with a positive share.
    """
    for name in ratings:
        if shares.get(name, -1.0) < 0.0:
            raise InputError(f"stratum {name!r} has no share of 0 or more", "give one per stratum")
    total = sum(shares[name] for name in ratings)
    if not total > 0.0:
        raise InputError("all shares are zero", "give one stratum a positive share")
    used = {name: stratum for name, stratum in ratings.items() if shares[name] > 0.0}
    common = sorted(set.intersection(*(set(stratum.models) for stratum in used.values())))
    if len(common) < 2:
        raise UndecidableError(
            f"{len(common)} models are rated in all of {len(used)} strata",
            "give the strata without them a share of 0",
        )
    size = len(common)
    center = np.eye(size) - 1.0 / size
    strength, covariance, bread = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    battles, gradient = np.zeros(size), 0.0
    for name, stratum in used.items():
        share = shares[name] / total
        places = [stratum.position(model) for model in common]
        block = np.ix_(places, places)
        strength += share * (center @ stratum.strength[places])
        covariance += share**2 * center @ stratum.covariance[block] @ center
        bread += share**2 * center @ stratum.bread[block] @ center
        battles += stratum.battles[places]
        gradient = max(gradient, stratum.gradient_norm)
    mix = ", ".join(f"{name or 'none'} {shares[name] / total:.3g}" for name in used)
    first = next(iter(used.values()))
    return Ratings(
        models=tuple(common),
        strength=strength,
        covariance=covariance,
        bread=bread,
        battles=battles,
        method=f"{first.method}; average of strata at shares {mix}",
        gradient_norm=gradient,
        interval=first.interval,
        level=first.level,
    )
