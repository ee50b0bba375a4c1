"""Paired-comparison statistics: votes to counts, fits, what is identified, intervals and ranks."""

from polylect.rank.bradley_terry import (
    fit_bradley_terry,
    fit_strengths,
    laplacian,
    vote_influence,
)
from polylect.rank.components import Bound, CoreStrengths, Identified, bounds, identify
from polylect.rank.contextual import SIDE, fit_contextual
from polylect.rank.counts import HALF_SCORE, OUTCOME_INDEX, OUTCOMES, PairCounts
from polylect.rank.intervals import bootstrap, cluster_sandwich
from polylect.rank.ranks import RankSets, rank_sets, votes_to_separate
from polylect.rank.ratings import ELO_PER_NAT, Contrast, Parameter, Ratings, normal_quantile
from polylect.rank.strata import combine_strata, fit_strata
from polylect.rank.ties import fit_both_bad, fit_davidson, fit_rao_kupper
from polylect.rank.votes import VoteTable, read_counts, read_votes
from polylect.rank.weights import DEFAULT_FLOOR, pair_weights

__all__ = [
    "DEFAULT_FLOOR",
    "ELO_PER_NAT",
    "HALF_SCORE",
    "OUTCOMES",
    "OUTCOME_INDEX",
    "SIDE",
    "Bound",
    "Contrast",
    "CoreStrengths",
    "Identified",
    "PairCounts",
    "Parameter",
    "RankSets",
    "Ratings",
    "VoteTable",
    "bootstrap",
    "bounds",
    "cluster_sandwich",
    "combine_strata",
    "fit_both_bad",
    "fit_bradley_terry",
    "fit_contextual",
    "fit_davidson",
    "fit_rao_kupper",
    "fit_strata",
    "fit_strengths",
    "identify",
    "laplacian",
    "normal_quantile",
    "pair_weights",
    "rank_sets",
    "read_counts",
    "read_votes",
    "vote_influence",
    "votes_to_separate",
]
