"""Paired-comparison statistics: votes to counts, fits, what is identified, intervals and ranks."""

from polylect.rank.bradley_terry import (
    fit_bradley_terry,
    fit_strengths,
    laplacian,
    vote_influence,
)
from polylect.rank.components import Bound, CoreStrengths, Identified, bounds, identify
from polylect.rank.counts import HALF_SCORE, OUTCOME_INDEX, OUTCOMES, PairCounts
from polylect.rank.ratings import ELO_PER_NAT, Contrast, Parameter, Ratings, normal_quantile
from polylect.rank.votes import VoteTable, read_counts, read_votes

__all__ = [
    "ELO_PER_NAT",
    "HALF_SCORE",
    "OUTCOMES",
    "OUTCOME_INDEX",
    "Bound",
    "Contrast",
    "CoreStrengths",
    "Identified",
    "PairCounts",
    "Parameter",
    "Ratings",
    "VoteTable",
    "bounds",
    "fit_bradley_terry",
    "fit_strengths",
    "identify",
    "laplacian",
    "normal_quantile",
    "read_counts",
    "read_votes",
    "vote_influence",
]
