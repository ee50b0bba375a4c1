import itertools

import numpy as np
import pytest

import polylect.auditing.voter_habits as voter_habits
from polylect.auditing import (
    Attack,
    Habits,
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
from polylect.auditing.directed import STATISTICS, lean_statistics
from polylect.auditing.honest_voter_model import OUTCOME_KIND, decisive_votes
from polylect.auditing.rigging import concatenate_voters
from polylect.auditing.voter_habits import draw_decisions, habit_chances, habit_weights
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


def test_surprise_p_values_agree_with_enumeration(board):
    """All 3⁴ ways in which an honest voter could have cast these votes, weighed exactly."""
    table = _table(board.models, [(0, 5, 0, 0), (3, 1, 0, 0), (2, 8, 2, 0), (9, 3, 1, 0)], ["x"])
    votes = ballots(table, honest_votes(board.merged(table.counts())))
    result = surprise_test(votes)
    ways = {}
    for kinds in itertools.product(range(3), repeat=4):
        chances = votes.chance[np.arange(4), kinds]
        ways[kinds] = (-2 * np.log(chances).sum(), chances.prod())
    seen = ways[tuple(votes.kind)][0]
    exact = sum(p for score, p in ways.values() if score >= seen - 1e-9)
    assert result.statistic[0] == pytest.approx(seen)
    # Ten of 200 end the drawing.
    draws = 200 if result.p_value[0] > 0.045 else 2000
    assert result.p_value[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("target", ["m3", None])
def test_directed_p_values_agree_with_enumeration(board, statistic, target, monkeypatch):
    """All 2⁶ ways in which a voter with these habits could have decided, weighed exactly."""
    monkeypatch.setattr(voter_habits, "TASTE_SD", 0.0)
    rows = [(0, 5, 0, 0), (3, 1, 0, 0), (2, 8, 2, 0), (9, 3, 1, 0), (4, 6, 0, 0), (7, 3, 1, 0)]
    rows += [(3, 0, 0, 0), (1, 2, 3, 0)]
    table = _table(board.models, rows, ["x"])
    fit = fit_bradley_terry(board)
    votes = ballots(table, honest_votes(board.merged(table.counts())))
    result = directed_test(votes, fit, target, statistic)
    decisive = decisive_votes(votes)
    assert list(result.num_votes) == [6]
    chance = habit_chances(decisive, fit)
    potential, _ = target_directions(fit, fit.models if target is None else [target])
    influence = (potential[:, decisive.a] - potential[:, decisive.b]).T
    won = (decisive.kind == 0)[None].astype(float)
    ways = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    score = lean_statistics(ways, chance, influence, statistic).max(1)
    win = (habit_weights(won, chance) @ chance.T)[0]
    weight = np.where(ways == 1, win, 1 - win).prod(1)
    seen = score[(ways == won).all(1)][0]
    exact = weight[score >= seen - 1e-9].sum()
    assert result.statistic[0] == pytest.approx(seen)
    draws = 200 if result.p_value[0] > 0.045 else 2000
    assert result.p_value[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws))


def test_the_steered_statistic_is_a_mean_likelihood_ratio():
    chance = np.tile([[0.7, 1.0, 0.0, 1.0, 0.5]], (3, 1))
    won, influence = np.array([[1.0, 0.0, 1.0]]), np.array([[0.2], [0.1], [-0.3]])
    win = (habit_weights(won, chance) @ chance.T)[0]
    ratios = []
    for share in (0.5, 0.95):
        # Helped; not helped; not helped.
        helped = share + (1 - share) * win[0]
        ratios.append(helped / win[0] * (1 - share) ** 2)
    value = lean_statistics(won, chance, influence, "steered")
    assert value == pytest.approx(np.log(np.mean(ratios)))


def test_habits_are_estimated_from_decisive_votes():
    rng = np.random.default_rng(0)
    everybody = rng.uniform(0.2, 0.8, 4000)
    rated, known = rng.integers(0, 2, (2, 4000)).astype(float)
    chance = np.column_stack([everybody, np.ones(4000), np.zeros(4000), rated, known])
    truth = np.array([0.4, 0.3, 0.0, 0.2, 0.1])
    won = (rng.random((3, 4000)) < chance @ truth).astype(float)
    # A coin is near to everybody's votes, so that A and B together are less certain than A − B.
    for weight in habit_weights(won, chance):
        np.testing.assert_allclose(weight[1] - weight[2], 0.3, atol=0.05)
        np.testing.assert_allclose(weight[3:], truth[3:], atol=0.06)
        assert weight.sum() == pytest.approx(1.0)
    # A voter who always takes side A is explained by this alone.
    always = habit_weights(np.ones((1, 20)), chance[:20])
    assert (always @ chance[:20].T).min() > 0.9


def test_drawn_voters_have_the_habits_and_likings_of_their_own():
    rng = np.random.default_rng(0)
    chance = np.tile([[0.8, 1.0, 0.0, 0.0, 0.0]], (2, 1))
    a, b = np.array([0, 0]), np.array([1, 1])
    weight = np.array([0.5, 0.5, 0.0, 0.0, 0.0])
    drawn = draw_decisions(weight, chance, a, b, 20000, rng)
    liking = np.random.default_rng(1).normal(0, np.sqrt(2) * voter_habits.TASTE_SD, 100000)
    expected = 0.5 + 0.5 * (0.8 / (0.8 + 0.2 * np.exp(liking))).mean()
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.015)
    # Both votes are on the same models: one liking decides both.
    assert np.corrcoef(drawn.T)[0, 1] > 0.02


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
    table = arena.honest_table(600, 15, seed=1)
    votes = ballots(table, honest_votes(arena.counts.merged(table.counts())))
    tests = [
        arena_test(votes),
        martingale_test(votes),
        surprise_test(votes, num_draws=999),
        *(
            directed_test(votes, arena.fit, "m2", statistic, num_draws=999)
            for statistic in STATISTICS
        ),
        directed_test(votes, arena.fit, None, "steered", num_draws=999),
    ]
    for test in tests:
        # 1 % of 600 is 6; 14 is over three standard errors above.
        assert test.flagged(0.01).sum() <= 14, test.name
    # Of twelve models a voter's own ranking explains much: the directed tests are below the level.
    for test in tests[2:3]:
        assert test.flagged(0.05).mean() > 0.02, f"{test.name} is far from its level"


HONEST = {
    "never ties": Habits(ties="never"),
    "a coin instead of ties": Habits(ties="coin"),
    "ties often": Habits(ties="often"),
    "ties what is close": Habits(ties="close"),
    "never both bad": Habits(both_bad=False),
    "side A": Habits(side=0.3),
    "always side A": Habits(ties="never", side=1.0),
    "tires": Habits(tires=1.0),
    "tires to side A": Habits(tires_to_side=1.0),
    "follows the board": Habits(fashion=0.5),
    "takes the better known": Habits(known=0.5),
    "against the board": Habits(underdog=0.5),
    "always against the board": Habits(ties="never", underdog=1.0),
    "takes the less known": Habits(unknown=0.5),
    "one language": Habits(language=0.4),
    "all at once": Habits(ties="never", side=0.2, tires=0.3, fashion=0.2, language=0.3),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_habit_is_not_flagged_more_often_than_the_level(name, world):
    simulated = SimulatedArena(world(5, num_models=12, num_votes=60000))
    table = simulated.honest_table(400, 20, 2, HONEST[name])
    votes = ballots(table, honest_votes(simulated.counts.merged(table.counts())))
    for target in ("m2", None):
        test = directed_test(votes, simulated.fit, target, num_draws=999)
        # 1 % of 400 is 4; 12 is four standard errors above.
        assert test.flagged(0.01).sum() <= 12, test.name


def test_who_never_decides_is_not_suspected(board):
    table = _table(board.models, [(0, 5, 2, 0), (3, 1, 3, 0), (2, 8, 0, 1)], ["tied", "x"])
    result = directed_test(ballots(table, honest_votes(board)), fit_bradley_terry(board))
    assert (result.num_votes[0], result.p_value[0], result.suspect[0]) == (0, 1.0, "")
    assert result.num_votes[1] == 1


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
