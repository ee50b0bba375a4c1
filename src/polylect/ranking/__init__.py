"""Paired-comparison statistics: votes to counts, fits, identifiability, intervals and ranks."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.ranking._vote_times import parse_timestamp
    from polylect.ranking.board import Board, build_board
    from polylect.ranking.bradley_terry import fit_bradley_terry, fit_strengths, vote_influence
    from polylect.ranking.components import Identifiability, all_finite, first_names, identify
    from polylect.ranking.config import BoardSettings
    from polylect.ranking.contextual import SIDE, fit_contextual
    from polylect.ranking.counts import (
        OUTCOME_SCORE,
        OUTCOMES,
        FloatArray,
        IntArray,
        PairCounts,
        sum_by,
    )
    from polylect.ranking.intervals import bootstrap, cluster_sandwich, few_clusters_factor
    from polylect.ranking.order_statistics import (
        Gain,
        expected_gain,
        expected_maximum,
        tie_probability,
        variant_noise,
    )
    from polylect.ranking.ranks import rank_sets, votes_to_separate
    from polylect.ranking.rating_bounds import Bound, CoreStrengths, separation_bounds
    from polylect.ranking.ratings import ELO_PER_NAT, Parameter, Ratings
    from polylect.ranking.selection_bias import BestOfN, with_best_of_n
    from polylect.ranking.strata import combine_strata, fit_strata
    from polylect.ranking.ties import fit_both_bad, fit_davidson, fit_rao_kupper
    from polylect.ranking.votes import VoteTable, read_counts, read_strata, read_votes
    from polylect.ranking.weights import pair_weights
    from polylect.ranking.winners import (
        bias_curve,
        fresh_counts,
        fresh_score,
        hybrid_intervals,
        score_from_all,
        score_from_number,
        score_from_spread,
        winner_scores,
    )
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
