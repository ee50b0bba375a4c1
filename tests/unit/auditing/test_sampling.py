import numpy as np
import pytest

from polylect.auditing import (
    active_rule,
    best_design,
    fair_rule,
    gini,
    pair_state,
    rating_rule,
    simulate_sampling,
    uniform_rule,
)
from polylect.auditing.sampling_rules import group_seats
from polylect.auditing.sampling_simulation import least_parts
from polylect.base import UndecidableError
from polylect.ranking import PairCounts, fit_bradley_terry


def test_active_rule_is_the_formula():
    counts = PairCounts.from_cells(
        "abc", [0, 0, 0, 1, 1], [1, 1, 2, 2, 2], [0, 1, 0, 0, 1], [8] * 5
    )
    state = pair_state(counts)
    np.testing.assert_array_equal(state.votes, [16, 8, 16])
    gain = np.sqrt(state.variance / state.votes) - np.sqrt(state.variance / (state.votes + 1))
    np.testing.assert_allclose(active_rule(state), gain / gain.sum())
    # Won half: variance 1/4; won all: shrunk towards the board's mean, not zero.
    typical = (16 * 0.25 + 0 + 16 * 0.25) / 40
    np.testing.assert_allclose(
        state.variance, [(4 + 4 * typical) / 20, 4 * typical / 12, (4 + 4 * typical) / 20]
    )


def test_pairs_that_never_met_are_offered():
    counts = PairCounts.from_cells("abcd", [0, 0], [1, 1], [0, 1], [50, 50])
    state = pair_state(counts)
    assert len(state.votes) == 6
    rule = active_rule(state)
    assert rule.argmin() == 0
    assert rule[1] > 20 * rule[0]


def test_rating_rule_is_the_drop_of_the_trace(world):
    counts = world(1, num_models=5, num_votes=400)
    fit = fit_bradley_terry(counts)
    state = pair_state(counts, fit)
    drops = []
    for i, j in zip(state.first, state.second, strict=True):
        p = 1 / (1 + np.exp(fit.strength[j] - fit.strength[i]))
        edge = np.zeros(5)
        edge[[i, j]] = 1, -1
        more = np.linalg.pinv(np.linalg.pinv(fit.bread) + p * (1 - p) * np.outer(edge, edge))
        drops.append(np.trace(fit.bread) - np.trace(more))
    gain = np.array(drops) / max(drops)
    np.testing.assert_allclose(rating_rule(state), gain**8 / (gain**8).sum(), rtol=1e-6)
    np.testing.assert_allclose(rating_rule(pair_state(counts)), 0.1)


def test_fair_rule_holds_every_part_and_moves_nothing_else(world):
    counts = world(1, num_models=8)
    state = pair_state(counts)
    lopsided = np.exp(np.random.default_rng(0).normal(0, 2, 28))
    lopsided /= lopsided.sum()
    partitions = {"license": list("ppppoooo"), "provider": list("aabbccdd")}
    share = fair_rule(lambda _: lopsided, partitions, 0.9, 1.1)(state)
    seats, equal, names = group_seats(state, partitions)
    part = seats.T @ share / equal
    assert part.min() >= 0.9 - 1e-5
    assert part.max() <= 1.1 + 1e-5
    assert names[0] == "license o"
    # The projection is the nearest: log-ratios are additive in the groups of the two models.
    residual = np.log(share / lopsided)
    solved, *_ = np.linalg.lstsq(np.column_stack([seats, np.ones(28)]), residual, rcond=None)
    np.testing.assert_allclose(np.column_stack([seats, np.ones(28)]) @ solved, residual, atol=1e-6)
    # A rule that is fair already stays as it is.
    np.testing.assert_allclose(fair_rule(uniform_rule, partitions, 0.9)(state), 1 / 28, atol=1e-9)


def test_a_rule_that_never_shows_a_group_cannot_be_made_fair(world):
    state = pair_state(world(1, num_models=4))
    hidden = np.where(state.second == 3, 0.0, 1.0)
    with pytest.raises(UndecidableError):
        fair_rule(lambda _: hidden / hidden.sum(), {"provider": list("aaab")}, 0.9)(state)


def test_uniform_needs_what_the_design_says():
    """Mean width falls as the root of the votes, and the constant is the information's."""
    strength = np.linspace(0.5, -0.5, 8)
    wide = simulate_sampling(strength, uniform_rule, 60, tie_share=0.0, seed=1)
    narrow = simulate_sampling(strength, uniform_rule, 30, tie_share=0.0, seed=1)
    assert narrow.num_votes / wide.num_votes == pytest.approx(4.0, rel=0.1)
    assert narrow.root_mean_square < 20
    assert narrow.widths[-1][1] <= 30
    assert simulate_sampling(strength, uniform_rule, 1e-3, max_votes=500).num_votes is None


def test_no_rule_beats_the_best_design():
    strength = np.linspace(2.0, -2.0, 10)
    share, ratio = best_design(strength)
    assert ratio < 0.97
    assert share.sum() == pytest.approx(1.0)
    rules = {"u": uniform_rule, "r": rating_rule, "a": active_rule}
    need = {
        name: np.mean(
            [
                simulate_sampling(strength, rule, 50, name=name, tie_share=0.0, seed=s).num_votes
                for s in range(4)
            ]
        )
        for name, rule in rules.items()
    }
    assert need["r"] / need["u"] >= ratio - 0.05
    assert need["r"] < need["u"]


def test_parts_and_gini_by_hand():
    part = least_parts(
        np.array([0, 0]), np.array([1, 2]), np.array([3.0, 1.0]), 3, {"x": ["p", "p", "q"]}
    )
    assert part["x"] == pytest.approx((1 / 8) / (1 / 3))
    assert gini(np.array([1.0, 1, 1, 1])) == pytest.approx(0.0)
    assert gini(np.array([0.0, 0, 0, 1])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0.0
