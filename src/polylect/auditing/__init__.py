"""Audits and simulations of votes, voters and boards; numpy and scipy, no torch."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.auditing.board_audit import Audit, AuditSettings, audit_board, read_battles
    from polylect.auditing.directed import (
        STATISTICS,
        directed_test,
        lead_contrast,
        target_directions,
    )
    from polylect.auditing.duplicate_prompts import duplication
    from polylect.auditing.findings import BROKEN, KEPT, Figure, Finding, Recommendation
    from polylect.auditing.honest_voter_model import ballots, honest_votes, pool_voters
    from polylect.auditing.leaderboard_illusion import (
        SparseGraph,
        TaskMix,
        drift_test,
        sparse_graph,
        task_mix,
    )
    from polylect.auditing.lifetimes import activity_of_boards, activity_of_votes, most_at_once
    from polylect.auditing.registry import DatedRow, Entry, Registry, read_boards
    from polylect.auditing.retirement import Move, Retirement, retire
    from polylect.auditing.rigging import (
        Attack,
        SimulatedArena,
        rank_gain,
        rig_board,
        simulate_attack,
        simulate_attacks,
    )
    from polylect.auditing.sampling_rules import (
        active_rule,
        best_design,
        fair_rule,
        pair_state,
        rating_rule,
        uniform_rule,
    )
    from polylect.auditing.sampling_simulation import (
        compare_sampling_rules,
        gini,
        simulate_sampling,
    )
    from polylect.auditing.simulated_habits import Habits
    from polylect.auditing.vote_fragility import Swap, fragility
    from polylect.auditing.voter_tests import (
        VoterTest,
        arena_test,
        martingale_test,
        surprise_test,
    )
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
