import math

import numpy as np
import pytest
from scipy.special import ndtri

from polylect.base import InputError, UndecidableError
from polylect.ranking import (
    ELO_PER_NAT,
    PairCounts,
    VoteTable,
    bias_curve,
    expected_gain,
    expected_maximum,
    fit_bradley_terry,
    fresh_counts,
    fresh_score,
    hybrid_intervals,
    score_from_all,
    score_from_number,
    score_from_spread,
    variant_noise,
    winner_scores,
)


def test_expected_maximum_has_its_closed_forms():
    assert expected_maximum(1) == pytest.approx(0.0, abs=1e-12)
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-12)
    assert expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-12)
    five = 5 / (4 * math.sqrt(math.pi)) * (1 + 6 / math.pi * math.asin(1 / 3))
    assert expected_maximum(5) == pytest.approx(five, abs=1e-12)
    # Tippett 1925, table of the normal order statistics.
    assert expected_maximum(50) == pytest.approx(2.24907, abs=1e-5)
    assert expected_maximum(20) < math.sqrt(2 * math.log(20)) - 0.5


def test_gain_is_split_as_the_variances():
    identical = expected_gain(20, 5.0)
    assert identical.noise == identical.total == pytest.approx(5.0 * expected_maximum(20))
    mixed = expected_gain(20, 6.0, 25.0)
    assert mixed.total == pytest.approx(math.hypot(6, 25) * expected_maximum(20))
    assert mixed.noise / mixed.real == pytest.approx(36 / 625)
    assert expected_gain(1, 5.0, 25.0).total == pytest.approx(0.0, abs=1e-10)
    assert expected_gain(5, 0.0).total == 0.0


def test_noise_is_that_of_a_fit_against_a_strong_pool():
    # One variant against 3 opponents tied together by a mass of votes.
    pool = np.array([0.4, 0.0, -0.4])
    shares = np.array([0.5, 0.3, 0.2])
    win = 1 / (1 + np.exp(pool - 0.3))
    names = ("a", "b", "c", "new")
    cells = []
    for j, share in enumerate(shares):
        tie = 0.3 * 2 * min(win[j], 1 - win[j]) / (shares @ (2 * np.minimum(win, 1 - win)))
        row = np.array([1 - win[j] - tie / 2, win[j] - tie / 2, tie, 0.0])
        cells.append((j, 3, 3000 * share * row))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        p = 1 / (1 + np.exp(pool[j] - pool[i]))
        cells.append((i, j, 1e9 * np.array([p, 1 - p, 0, 0])))
    cells.sort(key=lambda cell: cell[:2])
    first, second, rows = zip(*cells, strict=True)
    counts = PairCounts(names, np.array(first), np.array(second), np.array(rows))
    error = fit_bradley_terry(counts).difference_error[3, 0]
    assert variant_noise(0.3, pool, shares, 3000, 0.3) == pytest.approx(error, rel=1e-3)


def test_score_from_the_spread_is_unbiased_and_exact_at_its_ends():
    identical = score_from_spread(100.0, 5.0, 20, 0.0)
    assert identical.rating == pytest.approx(100 - 5 * expected_maximum(20))
    assert identical.lower == pytest.approx(100 - 5 * ndtri(0.975 ** (1 / 20)), abs=1e-8)
    assert identical.upper == pytest.approx(100 - 5 * ndtri(0.025 ** (1 / 20)), abs=1e-8)
    apart = score_from_spread(100.0, 5.0, 20, 1e6)
    assert (apart.lower, apart.upper) == pytest.approx((100 - 9.8, 100 + 9.8), abs=1e-2)
    rng = np.random.default_rng(0)
    truth = 8.0 * rng.standard_normal((40000, 10))
    score = truth + 5.0 * rng.standard_normal(truth.shape)
    rows = np.arange(len(truth))
    best = score.argmax(1)
    error = score[rows, best] - truth[rows, best]
    given = score_from_spread(0.0, 5.0, 10, 8.0)
    assert (error + given.rating).mean() == pytest.approx(0.0, abs=0.08)
    inside = (error + given.lower <= 0) & (error + given.upper >= 0)
    assert inside.mean() == pytest.approx(0.95, abs=0.004)


def test_bounds_from_the_number_hold_for_any_truth():
    rng = np.random.default_rng(1)
    alone = score_from_number(0.0, 1.0, 20)
    for truth in (np.zeros(20), np.eye(20)[0] * 3, np.eye(20)[0] * 50, np.linspace(0, 4, 20)):
        score = truth + rng.standard_normal((20000, 20))
        best = score.argmax(1)
        error = score[np.arange(len(score)), best] - truth[best]
        assert alone.rating_lower - 0.03 <= -error.mean() <= alone.rating_upper + 0.03
        inside = (alone.lower <= -error) & (-error <= alone.upper)
        assert inside.mean() >= 0.947


@pytest.mark.parametrize("ahead", [0.0, 1.0, 2.0, 4.0, 20.0])
def test_hybrid_covers_and_is_never_much_longer_than_the_projection(ahead):
    rng = np.random.default_rng(2)
    num_runs, num = 6000, 20
    truth = np.zeros(num)
    truth[0] = ahead
    score = truth + rng.standard_normal((num_runs, num))
    best = score.argmax(1)
    second = np.partition(score, -2, axis=1)[:, -2]
    shown = score[np.arange(num_runs), best]
    sd, cap = np.ones(num_runs), np.full(num_runs, np.inf)
    point, lower, upper = hybrid_intervals(shown, sd, second, cap, num)
    inside = (lower <= truth[best]) & (truth[best] <= upper)
    assert inside.mean() >= 0.943
    assert np.mean(point >= truth[best]) == pytest.approx(0.5, abs=0.025)
    reach = ndtri(0.5 + 0.5 * 0.995 ** (1 / num))
    assert (upper - lower).max() <= 2 * reach
    if ahead == 20.0:
        assert (upper - lower).mean() == pytest.approx(2 * 1.96, rel=0.05)


def test_hybrid_uses_the_covariance():
    # A common part of the noise does not tell the variants apart, so it is not selected on.
    rng = np.random.default_rng(3)
    common, separate = 3.0, 1.0
    covariance = common**2 + separate**2 * np.eye(8)
    inside, halves = [], []
    for _ in range(500):
        score = common * rng.standard_normal() + separate * rng.standard_normal(8)
        result = score_from_all(score, covariance)
        inside.append(result.lower <= 0.0 <= result.upper)
        halves.append(result.rating >= 0.0)
    assert np.mean(inside) >= 0.93
    assert np.mean(halves) == pytest.approx(0.5, abs=0.07)


def test_the_bias_curve_falls_with_the_spread():
    curve = bias_curve(20, 5.0, np.array([0.0, 10.0, 50.0]), num_runs=4000)
    exact = [expected_gain(20, 5.0, spread).noise for spread in (0.0, 10.0, 50.0)]
    assert curve.naive_bias == pytest.approx(exact, abs=0.25)
    assert np.all(curve.hybrid_coverage >= 0.94)
    assert np.all(curve.number_coverage >= 0.94)
    assert curve.naive_coverage[0] < 0.7


def timed(strength_after):
    """A model whose early votes were lucky, and later ones are not."""
    rng = np.random.default_rng(5)
    rows = []
    for time in (0.0, 1.0):
        strength = np.array([0.0, 0.0, 1.0 if time == 0 else strength_after])
        for _ in range(1500):
            a, b = rng.permutation(3)[:2]
            win = 1 / (1 + np.exp(strength[b] - strength[a]))
            rows.append((a, b, int(rng.random() > win), time))
    a, b, outcome, time = np.array(rows).T
    return VoteTable(
        models=("x", "y", "z"),
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        outcome=outcome.astype(np.int8),
        count=np.ones(len(a)),
        numbers={"time": time},
    )


def test_the_score_from_fresh_votes_ignores_votes_before_the_selection():
    table = timed(0.0)
    fresh = fresh_counts(table, "z", since=1.0)
    kept = fresh.battles
    assert kept[2] < 1500
    assert fresh.totals[0] == table.counts().totals[0]
    score = fresh_score(fresh, "z")
    assert score.lower <= 1000.0 <= score.upper
    naive = fit_bradley_terry(table.counts())
    assert naive.elo[2] > 40.0
    with pytest.raises(UndecidableError, match="no finite rating"):
        fresh_score(fresh_counts(table, "z", since=9.0), "z")
    with pytest.raises(InputError, match="no model 'zz'"):
        fresh_counts(table, "zz", since=1.0)


def test_winner_scores_name_the_correction_and_its_inputs(world):
    fit = fit_bradley_terry(world(0))
    best = fit.models[fit.order[0]]
    names = tuple(fit.models[i] for i in fit.order[1:4])
    scores = winner_scores(fit, 1000.0, best, 4, names, spread=10.0)
    estimates = [score.estimate for score in scores]
    assert estimates[0].startswith("as shown")
    assert estimates[1:] == [
        "bounds from N = 4 alone",
        "N = 4 and a spread of 10 Elo",
        "all 4 scores",
    ]
    assert scores[0].rating == pytest.approx(1000.0 + fit.elo[fit.order[0]])
    assert scores[1].rating is None
    assert scores[2].rating < scores[0].rating
    with pytest.raises(InputError, match="3 variants are named, but it is the best of 4"):
        winner_scores(fit, 0.0, best, 4, names[:2])
    with pytest.raises(InputError, match="has a higher score"):
        winner_scores(fit, 0.0, names[0], 2, (best,))
    with pytest.raises(InputError, match="best of 1"):
        winner_scores(fit, 0.0, best, 1)


def test_real_pool_noise_is_that_of_the_notes(arena):
    fit = fit_bradley_terry(arena)
    shift = fit.shift(("mixtral-8x7b-instruct-v0.1", 1114.0))
    pool = fit.strength + (shift - 1200.0) / ELO_PER_NAT
    shares = arena.battles / arena.battles.sum()
    sd = variant_noise(0.0, pool, shares, 3000, 0.345)
    # The notes: identical clones with 35 % ties gain 11.6 at N = 50 and 9.7 at N = 20.
    assert expected_gain(50, sd).total == pytest.approx(11.6, abs=0.8)
    assert expected_gain(20, sd).total == pytest.approx(9.7, abs=0.7)
