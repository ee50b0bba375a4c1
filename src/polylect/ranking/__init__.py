"""Paired-comparison statistics: votes to counts, fits, what is identified, intervals and ranks."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.ranking._batches import seconds
    from polylect.ranking.board import (
        Board,
        BoardRow,
        BoardSettings,
        Section,
        build_board,
        fit_core,
    )
    from polylect.ranking.bradley_terry import (
        fit_bradley_terry,
        fit_strengths,
        laplacian,
        vote_influence,
    )
    from polylect.ranking.components import Bound, CoreStrengths, Identified, bounds, identify
    from polylect.ranking.contextual import SIDE, fit_contextual
    from polylect.ranking.counts import (
        HALF_SCORE,
        OUTCOME_INDEX,
        OUTCOMES,
        FloatArray,
        IntArray,
        PairCounts,
        sum_by,
    )
    from polylect.ranking.intervals import bootstrap, cluster_sandwich
    from polylect.ranking.ranks import RankSets, rank_sets, votes_to_separate
    from polylect.ranking.ratings import ELO_PER_NAT, Contrast, Parameter, Ratings
    from polylect.ranking.selection import (
        Gain,
        expected_best,
        expected_gain,
        expected_maximum,
        tie_probability,
        variant_noise,
    )
    from polylect.ranking.selection_bias import Choice, with_selection
    from polylect.ranking.strata import combine_strata, fit_strata
    from polylect.ranking.ties import fit_both_bad, fit_davidson, fit_rao_kupper
    from polylect.ranking.votes import VoteTable, read_counts, read_strata, read_votes
    from polylect.ranking.weights import DEFAULT_FLOOR, pair_weights
    from polylect.ranking.winners import (
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
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
