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
from polylect.rank.display import (
    Board,
    BoardRow,
    BoardSettings,
    Section,
    build_board,
    fit_core,
)
from polylect.rank.intervals import bootstrap, cluster_sandwich
from polylect.rank.ranks import RankSets, rank_sets, votes_to_separate
from polylect.rank.ratings import ELO_PER_NAT, Contrast, Parameter, Ratings, normal_quantile
from polylect.rank.selection import (
    Gain,
    expected_best,
    expected_gain,
    expected_maximum,
    tie_probability,
    variant_noise,
)
from polylect.rank.strata import combine_strata, fit_strata
from polylect.rank.ties import fit_both_bad, fit_davidson, fit_rao_kupper
from polylect.rank.votes import VoteTable, read_counts, read_strata, read_votes
from polylect.rank.weights import DEFAULT_FLOOR, pair_weights
from polylect.rank.winners import (
    BiasCurve,
    WinnerScore,
    bias_curve,
    fresh_counts,
    fresh_score,
    hybrid,
    naive_score,
    score_from_all,
    score_from_number,
    score_from_spread,
    winner_scores,
)

__all__ = [
    "DEFAULT_FLOOR",
    "ELO_PER_NAT",
    "HALF_SCORE",
    "OUTCOMES",
    "OUTCOME_INDEX",
    "SIDE",
    "BiasCurve",
    "Board",
    "BoardRow",
    "BoardSettings",
    "Bound",
    "Contrast",
    "CoreStrengths",
    "Gain",
    "Identified",
    "PairCounts",
    "Parameter",
    "RankSets",
    "Ratings",
    "Section",
    "VoteTable",
    "WinnerScore",
    "bias_curve",
    "bootstrap",
    "bounds",
    "build_board",
    "cluster_sandwich",
    "combine_strata",
    "expected_best",
    "expected_gain",
    "expected_maximum",
    "fit_both_bad",
    "fit_bradley_terry",
    "fit_contextual",
    "fit_core",
    "fit_davidson",
    "fit_rao_kupper",
    "fit_strata",
    "fit_strengths",
    "fresh_counts",
    "fresh_score",
    "hybrid",
    "identify",
    "laplacian",
    "naive_score",
    "normal_quantile",
    "pair_weights",
    "rank_sets",
    "read_counts",
    "read_strata",
    "read_votes",
    "score_from_all",
    "score_from_number",
    "score_from_spread",
    "tie_probability",
    "variant_noise",
    "vote_influence",
    "votes_to_separate",
    "winner_scores",
]
