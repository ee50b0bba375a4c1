from dataclasses import replace

import numpy as np
import pytest

from polylect.ranking import (
    ELO_PER_NAT,
    PairCounts,
    fit_bradley_terry,
    rank_sets,
    votes_to_separate,
)


def test_far_apart_models_have_one_rank_each():
    counts = PairCounts.from_cells(
        ["b", "a", "c"], [0, 1, 0, 2, 1, 2], [1, 0, 2, 0, 2, 1], [1, 1, 0, 0, 0, 0],
        [9000, 1000, 9000, 1000, 9900, 100],
    )  # fmt: skip
    ranks = rank_sets(fit_bradley_terry(counts))
    assert counts.models == ("a", "b", "c")
    for values in (ranks.rank, ranks.low, ranks.high, ranks.marginal_low, ranks.separated):
        assert values.tolist() == [1, 2, 3]


def test_level_models_share_all_ranks():
    first, second = np.triu_indices(4, 1)
    counts = PairCounts(tuple("abcd"), first, second, np.full((6, 4), 10.0))
    ranks = rank_sets(fit_bradley_terry(counts))
    assert ranks.rank.tolist() == [1, 1, 1, 1]
    assert ranks.low.tolist() == [1] * 4
    assert ranks.high.tolist() == [4] * 4
    assert ranks.separated.tolist() == [1] * 4


def test_sets_are_nested_and_ordered(world):
    ranks = rank_sets(fit_bradley_terry(world(0, num_models=20, num_votes=20000)))
    assert np.all(ranks.low <= ranks.marginal_low)
    assert np.all(ranks.marginal_low <= ranks.rank)
    assert np.all(ranks.rank <= ranks.marginal_high)
    assert np.all(ranks.marginal_high <= ranks.high)


def test_separated_is_counted_from_the_intervals(world):
    ratings = fit_bradley_terry(world(0, num_models=20, num_votes=20000))
    lower, upper = ratings.bounds
    expected = [1 + int((lower > upper[i]).sum()) for i in range(20)]
    assert rank_sets(ratings).separated.tolist() == expected


def test_two_models_use_the_normal_quantile():
    # One difference: the simultaneous quantile is 1.96 but for the draws.
    from polylect.ranking.ranks import _critical

    counts = PairCounts.from_cells(["x", "y"], [0, 1], [1, 0], [0, 0], [60, 40])
    ratings = fit_bradley_terry(counts)
    everywhere, alone = _critical(ratings, ratings.difference_error / ELO_PER_NAT, 0)
    assert everywhere == pytest.approx(1.96, abs=0.06)
    assert alone == pytest.approx([everywhere] * 2)


def test_votes_to_separate_are_right_when_they_come():
    counts = PairCounts.from_cells(["x", "y"], [0, 1], [1, 0], [0, 0], [520, 480])
    ratings = fit_bradley_terry(counts)
    total, direct = votes_to_separate(counts, ratings, 0, 1)
    # With two models every vote is direct; z = (1.96 + 0.84) for power 0.8.
    assert total == pytest.approx(direct, rel=0.02)
    more = counts.with_outcomes(counts.outcomes * (1000 + total) / 1000)
    again = fit_bradley_terry(more)
    gap = again.elo[0] - again.elo[1]
    assert gap / again.difference_error[0, 1] == pytest.approx(1.96 + 0.8416, abs=1e-3)
    assert votes_to_separate(more.with_outcomes(more.outcomes * 2), again, 0, 1)[0] is not None
    wide = counts.with_outcomes(np.array([[900.0, 100.0, 0.0, 0.0]]))
    assert votes_to_separate(wide, fit_bradley_terry(wide), 0, 1) == (0.0, 0.0)
    level = counts.with_outcomes(np.array([[50.0, 50.0, 0.0, 0.0]]))
    assert votes_to_separate(level, fit_bradley_terry(level), 0, 1) == (None, None)


def test_direct_votes_cost_fewer_than_the_mix(arena):
    ratings = fit_bradley_terry(arena)
    better, worse = ratings.order[5], ratings.order[6]
    total, direct = votes_to_separate(arena, ratings, better, worse)
    assert 0 < direct < total


def test_equal_ratings_have_one_rank_in_order_of_names_whatever_the_rounding():
    first, second = np.triu_indices(5, 1)
    counts = PairCounts(tuple("abcde"), first, second, np.full((10, 4), 10.0))
    fit = fit_bradley_terry(counts)
    for seed in range(5):
        noise = 1e-13 * np.random.default_rng(seed).normal(size=5)
        rounded = replace(fit, strength=fit.strength + noise)
        assert rounded.order == (0, 1, 2, 3, 4)
        assert rounded.rank.tolist() == [1] * 5
        assert votes_to_separate(counts, rounded, 0, 4) == (None, None)
    apart = replace(fit, strength=np.array([0.0, 1.0, 1.0 + 1e-13, -1.0, 0.0]))
    assert apart.order == (1, 2, 0, 4, 3)
    assert apart.rank.tolist() == [3, 1, 1, 5, 3]
