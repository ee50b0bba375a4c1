import itertools

import numpy as np
import pytest

from polylect.auditing import (
    Attack,
    SimulatedArena,
    VoterTest,
    arena_test,
    ballots,
    directed_test,
    honest_votes,
    lead_contrast,
    martingale_test,
    pool_voters,
    rig_board,
    simulate_attack,
    surprise_test,
    target_directions,
)
from polylect.auditing.directed import STATISTICS, _vote_scores
from polylect.auditing.honest_voter_model import OUTCOME_KIND
from polylect.auditing.rigging import concatenate_voters
from polylect.base import InputError
from polylect.ranking import VoteTable, fit_bradley_terry, vote_influence


def _table(models, rows, voters):
    """Rows of (a, b, outcome, voter)."""
    a, b, outcome, voter = (np.array(values) for values in zip(*rows, strict=True))
    return VoteTable(
        tuple(models),
        a.astype(np.int32),
        b.astype(np.int32),
        outcome.astype(np.int8),
        np.ones(len(rows)),
        {"voter": voter.astype(np.int32)},
        {"voter": tuple(voters)},
    )


@pytest.fixture
def board(world):
    return world(1, num_models=10, num_votes=20000)


def test_honest_chances_are_the_pairs_history_and_symmetric(board):
    honest = honest_votes(board)
    a, b = np.array([0, 3]), np.array([5, 1])
    there, back = honest.chance(a, b), honest.chance(b, a)
    np.testing.assert_allclose(there, back[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(there.sum(1), 1.0)
    cell = board.outcomes[(board.first == 0) & (board.second == 5)][0]
    share = np.array([cell[0], cell[2] + cell[3], cell[1]]) / cell.sum()
    np.testing.assert_allclose(there[0], share, atol=0.05)
    tie = honest.model[0, 5, 1]
    davidson = honest.model[0, 5, 0] * honest.model[0, 5, 2]
    other = honest.model[2, 7, 0] * honest.model[2, 7, 2]
    # Davidson: the tie is in a fixed proportion to the geometric mean of the two wins.
    assert tie / np.sqrt(davidson) == pytest.approx(honest.model[2, 7, 1] / np.sqrt(other))


def test_own_votes_are_left_out_of_the_history(board):
    rows = [(0, 5, 0, 0), (5, 0, 0, 0), (0, 5, 2, 0), (1, 2, 1, 1)]
    table = _table(board.models, rows, ["x", "y"])
    honest = honest_votes(board.merged(table.counts()))
    votes = ballots(table, honest)
    before = honest_votes(board).history
    np.testing.assert_array_equal(votes.history[0], before[0, 5])
    np.testing.assert_array_equal(votes.history[1], before[5, 0])
    np.testing.assert_array_equal(votes.history[3], before[1, 2])
    assert votes.voters == ("x", "y")
    assert list(votes.num_votes) == [3, 1]
    np.testing.assert_array_equal(votes.kind, OUTCOME_KIND[[0, 0, 2, 1]])


def test_votes_without_a_voter_are_counted(board):
    table = _table(board.models, [(0, 1, 0, 0), (0, 1, 0, -1), (0, 1, 1, -1)], ["x"])
    votes = ballots(table, honest_votes(board))
    assert votes.ledger.by_event() == {"not tested: no voter": 2}
    with pytest.raises(InputError):
        ballots(_table(board.models, [(0, 1, 0, -1)], ["x"]), honest_votes(board))


@pytest.mark.parametrize("statistic", [*STATISTICS, "surprise"])
@pytest.mark.parametrize("target", ["m3", None])
def test_p_values_agree_with_enumeration(board, statistic, target):
    """All 3⁴ ways in which an honest voter could have cast these votes, weighed exactly."""
    rows = [(0, 5, 0, 0), (3, 1, 0, 0), (2, 8, 2, 0), (9, 3, 1, 0)]
    table = _table(board.models, rows, ["x"])
    fit = fit_bradley_terry(board)
    votes = ballots(table, honest_votes(board.merged(table.counts())))
    if statistic == "surprise":
        result = surprise_test(votes)
        value = -2 * np.log(votes.chance)[:, :, None]
    else:
        result = directed_test(votes, fit, target, statistic)
        potential, _ = target_directions(fit, fit.models if target is None else [target])
        value = _vote_scores(
            votes.chance, (potential[:, votes.a] - potential[:, votes.b]).T, statistic
        ).value
    mean = np.einsum("no,nok->nk", votes.chance, value)
    spread = np.sqrt((np.einsum("no,nok->nk", votes.chance, value**2) - mean**2).sum(0))
    seen, exact = None, 0.0
    ways = {}
    for kinds in itertools.product(range(3), repeat=4):
        score = (sum(value[n, k] - mean[n] for n, k in enumerate(kinds)) / spread).max()
        ways[kinds] = (score, np.prod([votes.chance[n, k] for n, k in enumerate(kinds)]))
    seen = ways[tuple(votes.kind)][0]
    exact = sum(p for score, p in ways.values() if score >= seen - 1e-9)
    assert result.statistic[0] == pytest.approx(seen)
    # Ten of 200 end the drawing.
    draws = 200 if result.p_value[0] > 0.045 else 2000
    assert result.p_value[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws))


def test_directions_are_the_influence_of_a_vote(board):
    fit = fit_bradley_terry(board)
    row = lead_contrast(fit, fit.models[fit.order[4]], 2)
    assert row.sum() == pytest.approx(0.0)
    potential = row @ fit.bread
    influence = vote_influence(board, fit, row)
    pull = potential[board.first] - potential[board.second]
    np.testing.assert_allclose(influence[:, 0] - influence[:, 1], pull, atol=1e-12)


def test_martingale_factor_has_mean_at_most_one_without_ties():
    for win in np.linspace(0.05, 0.95, 19):
        lose = 1 - win
        assert win * 0.5 + lose / (2 * lose) <= 1.0 + 1e-12
        # As published, with ties t: above one on lopsided pairs.
    tie, lose = 0.35, 0.05
    assert (1 - tie) * ((1 - lose) + 1) / 2 + tie / (2 * lose) > 1


def test_martingale_flags_who_always_votes_against_the_record():
    # m0 beats m1 in 9 of 10 votes; this voter always says the opposite.
    table = _table(["m0", "m1"], [(0, 1, 1, 0)] * 12 + [(1, 0, 0, 1)] * 4, ["bad", "few"])
    counts = _table(["m0", "m1"], [(0, 1, int(k % 10 == 0), 0) for k in range(500)], ["h"]).counts()
    votes = ballots(table, honest_votes(counts.merged(table.counts())))
    result = martingale_test(votes)
    assert result.flagged(0.01).tolist() == [True, False]
    factor = 1 / (2 * (50 + 4 + 1) / (500 + 4 + 1))
    assert result.statistic[0] == pytest.approx(factor**12, rel=1e-6)


def test_arena_test_is_the_formula(board):
    rows = [(0, 5, k % 4, 0) for k in range(100)]
    votes = ballots(_table(board.models, rows, ["x"]), honest_votes(board))
    result = arena_test(votes, seed=3)
    history = np.maximum(votes.history, 0)
    p = [(1 + (h[: k + 1]).sum()) / (1 + h.sum()) for h, k in zip(history, votes.kind, strict=True)]
    fisher = -2 * np.cumsum(np.log(p))
    assert result.statistic[0] in [pytest.approx(value) for value in fisher]
    assert 0 < result.p_value[0] <= 1


def test_nobody_is_flagged_more_often_than_the_level(world):
    arena = SimulatedArena(world(5, num_models=12, num_votes=60000))
    table = arena.honest_table(1500, 15, seed=1)
    votes = ballots(table, honest_votes(arena.counts.merged(table.counts())))
    tests = [
        arena_test(votes),
        martingale_test(votes),
        surprise_test(votes, num_draws=1999),
        *(
            directed_test(votes, arena.fit, "m2", statistic, num_draws=1999)
            for statistic in STATISTICS
        ),
        directed_test(votes, arena.fit, None, "steered", num_draws=1999),
    ]
    for test in tests:
        # 1 % of 1,500 is 15; 28 is three standard errors above.
        assert test.flagged(0.01).sum() <= 28, test.name
    for test in tests[2:]:
        assert test.flagged(0.05).mean() > 0.02, f"{test.name} is far from its level"


def test_riggers_are_found_and_the_target_named(arena):
    simulated = SimulatedArena(arena)
    attack = Attack(target="claude-3-haiku-20240307", num_accounts=60)
    rigged = rig_board(simulated, attack, 60, seed=4)
    known = directed_test(rigged.votes, rigged.fit, attack.target, num_draws=1999)
    blind = directed_test(rigged.votes, rigged.fit, None, num_draws=1999)
    assert known.flagged()[rigged.is_rigger].mean() >= 0.95
    assert blind.flagged()[rigged.is_rigger].mean() >= 0.80
    assert surprise_test(rigged.votes).flagged()[rigged.is_rigger].mean() < 0.3
    named = np.array(blind.suspect)[rigged.is_rigger]
    values, num = np.unique(named, return_counts=True)
    assert values[np.argmax(num)] == attack.target
    discovered = blind.discovered(0.05)
    assert discovered[rigged.is_rigger].mean() > 0.8
    assert discovered[~rigged.is_rigger].mean() < 0.1


def test_removing_flagged_voters_repairs_the_rating(arena):
    attack = Attack(target="claude-3-haiku-20240307", num_accounts=400)
    result = simulate_attack(
        SimulatedArena(arena),
        attack,
        lambda board: directed_test(board.votes, board.fit, attack.target, num_draws=999),
        num_honest=200,
    )
    assert result.found >= 0.95
    assert result.false_flags <= 0.03
    assert result.rigged_rating > result.honest_upper
    assert result.is_repaired
    assert result.rigged_rank <= result.cleaned_rank


def test_botnets_of_few_votes_are_found_as_clusters(world):
    arena = SimulatedArena(world(5, num_models=12, num_votes=60000))
    attack = Attack(target="m6", num_accounts=40, votes_per_account=2)
    table = concatenate_voters(arena.honest_table(400, 2, 1), arena.attack_table(attack, 1))
    cluster = np.where(table.codes["voter"] < 400, table.codes["voter"] % 20, 20)
    names = tuple(f"net {i}" for i in range(21))
    pooled = pool_voters(table, cluster, names, below=5)
    honest = honest_votes(arena.counts.merged(table.counts()))
    alone = directed_test(ballots(table, honest), arena.fit, None, num_draws=999)
    together = directed_test(ballots(pooled, honest, "account"), arena.fit, None, num_draws=1999)
    assert alone.flagged(0.001)[400:].mean() < 0.2
    assert together.voters[-1] == "cluster net 20"
    assert together.p_value[-1] <= 0.001
    assert (together.p_value[:-1] <= 0.001).sum() == 0
    # Who has enough votes stays on their own.
    assert pool_voters(table, cluster, names, below=2).codes["account"].max() < 440


def test_false_discovery_rate_is_benjamini_hochberg():
    p = np.array([0.001, 0.02, 0.03, 0.5, 0.9])
    test = VoterTest("t", tuple("abcde"), np.ones(5, int), p, p, ("",) * 5)
    assert test.discovered(0.05).tolist() == [True, True, True, False, False]
    assert test.discovered(0.02).tolist() == [True, False, False, False, False]


def test_attacks_are_checked():
    with pytest.raises(InputError, match="unknown attack"):
        Attack(target="x", kind="sly")
    with pytest.raises(InputError):
        SimulatedArena(
            _table("ab", [(0, 1, 0, 0), (0, 1, 1, 0), (0, 1, 2, 0)], "x").counts()
        ).attack_table(Attack(target="zz"), 0)
