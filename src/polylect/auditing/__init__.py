"""Audits and simulations of votes, voters and boards; numpy and scipy, no torch."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.auditing.board_audit import AuditSettings, Inquiry, inquire, read_battles
    from polylect.auditing.directed import (
        directed_test,
        lead_contrast,
        surprise_test,
        target_directions,
    )
    from polylect.auditing.figures import BROKEN, KEPT, OPEN, Audit, Figure, Finding, Recommendation
    from polylect.auditing.honest_voter_model import (
        Ballots,
        HonestVotes,
        ballots,
        honest_votes,
        pool,
    )
    from polylect.auditing.leaderboard_illusion import (
        Drift,
        SparseGraph,
        SparseGraphResult,
        TaskMix,
        TaskMixResult,
        drift_test,
        sparse_graph,
        task_mix,
    )
    from polylect.auditing.lifetimes import (
        Activity,
        activity_of_boards,
        activity_of_votes,
        most_at_once,
    )
    from polylect.auditing.prompts import Duplication, cap_frequent, duplication
    from polylect.auditing.registry import LICENSES, DatedRow, Entry, Registry, read_boards
    from polylect.auditing.retirement import Move, Retirement, rank_ranges, retire
    from polylect.auditing.rigging import Arena, Attack, Replay, Scene, rank_gain, replay, stage
    from polylect.auditing.sampling import (
        PairState,
        Rule,
        SamplingRun,
        active_rule,
        best_design,
        fair_rule,
        gini,
        pair_state,
        rating_rule,
        simulate_sampling,
        uniform_rule,
    )
    from polylect.auditing.vote_fragility import CellChange, Swap, fragility
    from polylect.auditing.voters import VoterTest, arena_test, martingale_test
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
