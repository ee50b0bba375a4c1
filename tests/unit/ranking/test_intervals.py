import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, t

from polylect.base import InputError, UndecidableError
from polylect.ranking import (
    OUTCOME_SCORE,
    BoardSettings,
    PairCounts,
    VoteTable,
    bootstrap,
    cluster_sandwich,
    fit_bradley_terry,
    fit_contextual,
    fit_davidson,
    fit_rao_kupper,
    pair_weights,
)


def voted(seed=0, num_voters=60, votes_each=20, opinion=0.8, alone=0):
    """Votes of voters who each have opinions of their own about the models."""
    rng = np.random.default_rng(seed)
    strength = np.array([0.4, 0.2, 0.0, -0.2, -0.4])
    num = num_voters * votes_each
    voter = np.repeat(np.arange(num_voters), votes_each)
    opinions = strength + rng.normal(0, opinion, (num_voters, 5))
    a = rng.integers(0, 5, num)
    b = (a + rng.integers(1, 5, num)) % 5
    win = expit(opinions[voter, a] - opinions[voter, b])
    voter = voter.astype(np.int32)
    voter[:alone] = -1
    return VoteTable(
        models=tuple("vwxyz"),
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        outcome=(rng.random(num) > win).astype(np.int8),
        count=np.ones(num),
        codes={"voter": voter},
        labels={"voter": tuple(f"u{i}" for i in range(num_voters))},
    )


@pytest.mark.parametrize("alone", [0, 130])
def test_cluster_sandwich_is_the_sum_over_voters(alone, monkeypatch):
    monkeypatch.setattr("polylect.ranking.intervals._BLOCK_ROWS", 100)
    table = voted(alone=alone)
    counts = table.counts()
    fit = fit_bradley_terry(counts)
    score = np.zeros((len(table), 5))
    rows = np.arange(len(table))
    residual = OUTCOME_SCORE[table.outcome] - expit(fit.strength[table.a] - fit.strength[table.b])
    score[rows, table.a], score[rows, table.b] = residual, -residual
    voter = table.codes["voter"]
    meat = sum(np.outer(score[i], score[i]) for i in np.flatnonzero(voter < 0)) + np.zeros((5, 5))
    for code in np.unique(voter[voter >= 0]):
        total = score[voter == code].sum(0)
        meat = meat + np.outer(total, total)
    clusters = len(np.unique(voter[voter >= 0])) + alone
    sizes = np.append(np.unique(voter[voter >= 0], return_counts=True)[1], np.ones(alone))
    freedom = 1200**2 / (sizes**2).sum() - 1
    inflation = (t.ppf(0.975, freedom) / norm.ppf(0.975)) ** 2
    expected = fit.bread @ meat @ fit.bread * clusters / (clusters - 1) * inflation
    result = cluster_sandwich(counts, table, "voter", fit)
    assert result.covariance == pytest.approx(expected, abs=1e-14)
    assert result.interval == f"sandwich clustered by voter, {clusters} clusters"


def test_voters_with_opinions_widen_the_interval_as_repetition_shows():
    estimates, plain, clustered = [], [], []
    for seed in range(150):
        table = voted(seed)
        counts = table.counts()
        fit = fit_bradley_terry(counts)
        estimates.append(fit.elo)
        plain.append(fit.standard_error)
        clustered.append(cluster_sandwich(counts, table, "voter", fit).standard_error)
    spread = np.std(estimates, 0).mean()
    assert np.mean(clustered) == pytest.approx(spread, rel=0.1)
    assert np.mean(plain) < 0.8 * spread


@pytest.mark.parametrize("with_bootstrap", [False, True])
@pytest.mark.parametrize(("num_voters", "votes_each"), [(3, 60), (5, 60), (10, 40)])
def test_intervals_hold_with_few_voters(num_voters, votes_each, with_bootstrap):
    # The strengths that fit the mean of many opinions best.
    truth = fit_bradley_terry(voted(99, num_voters=5000).counts()).elo
    truth = truth - truth.mean()
    holds = []
    for seed in range(12 if with_bootstrap else 60):
        table = voted(seed, num_voters, votes_each)
        counts = table.counts()
        fit = fit_bradley_terry(counts)
        if with_bootstrap:
            result = bootstrap(counts, fit, 100, seed, table, "voter")
        else:
            result = cluster_sandwich(counts, table, "voter", fit)
        lower, upper = result.bounds
        mean = result.elo.mean()
        holds.append((lower - mean <= truth) & (truth <= upper - mean))
    assert np.mean(holds) > 0.88


def test_bootstrap_agrees_with_the_sandwich(world):
    counts = world(0, num_votes=5000)
    fit = fit_bradley_terry(counts)
    result = bootstrap(counts, fit, 400, seed=1)
    assert result.samples.std(0) == pytest.approx(np.sqrt(np.diag(fit.covariance)), rel=0.15)
    lower, upper = result.bounds
    assert np.all((lower < fit.elo) & (fit.elo < upper))
    assert result.interval == "bootstrap by vote, 400 resamples"
    contrast = result.contrast("m0")
    assert contrast.lower[0] == contrast.upper[0] == 0.0
    again = bootstrap(counts, fit, 400, seed=1)
    assert np.array_equal(again.samples, result.samples)


def test_cluster_bootstrap_agrees_with_the_cluster_sandwich():
    table = voted(3, num_voters=200)
    counts = table.counts()
    fit = cluster_sandwich(counts, table, "voter", fit_bradley_terry(counts))
    result = bootstrap(counts, fit, 400, 1, table, "voter")
    assert result.samples.std(0) == pytest.approx(np.sqrt(np.diag(fit.covariance)), rel=0.15)


def test_resamples_without_a_solution_are_refused_or_counted():
    few = PairCounts.from_cells(["x", "y"], [0, 1], [1, 0], [0, 0], [30, 1])
    fit = fit_bradley_terry(few)
    with pytest.raises(UndecidableError, match="won or lost every vote"):
        bootstrap(few, fit, 200, seed=0)
    some = PairCounts.from_cells(["x", "y"], [0, 1], [1, 0], [0, 0], [30, 5])
    result = bootstrap(some, fit_bradley_terry(some), 1000, seed=0)
    assert "without a solution drawn again" in result.interval
    assert np.all(np.isfinite(result.samples))


def test_pair_weights_make_equal_pairs(world):
    counts = world(0)
    weights = pair_weights(counts, floor=1.0)
    weighted = weights * counts.totals
    assert weighted == pytest.approx(np.full(len(weights), counts.num_votes / len(weights)))
    floored = pair_weights(counts, floor=1e9)
    assert floored == pytest.approx(np.ones(len(weights)))


def test_reweighting_changes_nothing_but_precision_where_the_model_holds():
    # Expected counts of a Bradley-Terry world with very unequal pairs.
    strength = np.array([0.5, 0.0, -0.5])
    first, second = np.triu_indices(3, 1)
    totals = np.array([10000.0, 100.0, 1000.0])
    win = expit(strength[first] - strength[second])
    zero = np.zeros(3)
    outcomes = np.column_stack([totals * win, totals * (1 - win), zero, zero])
    counts = PairCounts(("a", "b", "c"), first, second, outcomes)
    fit = fit_bradley_terry(counts, weights=pair_weights(counts))
    assert fit.strength == pytest.approx(strength, abs=1e-10)
    # The sandwich scales as the inverse of repeated data.
    more = counts.with_outcomes(outcomes * 4)
    again = fit_bradley_terry(more, weights=pair_weights(more, floor=200.0))
    assert again.covariance == pytest.approx(fit.covariance / 4, abs=1e-12)


def test_one_voter_cannot_be_clustered():
    table = voted(num_voters=1, votes_each=300)
    counts = table.counts()
    with pytest.raises(UndecidableError, match="same voter: no variance"):
        cluster_sandwich(counts, table, "voter", fit_bradley_terry(counts))


def ties(num):
    return PairCounts.from_cells(["x", "y"], [0], [1], [2], [num])


@pytest.mark.parametrize("num", [1, 5, 20])
def test_ties_alone_leave_every_fit_an_interval_as_wide_as_the_plain_one(num):
    counts = ties(num)
    plain = fit_bradley_terry(counts)
    table = VoteTable(
        models=("x", "y"), a=np.zeros(num, np.int32), b=np.ones(num, np.int32),
        outcome=np.full(num, 2, np.int8), count=np.ones(num),
        numbers={"length": np.linspace(-0.3, 0.5, num) if num > 1 else np.array([0.2])},
    )  # fmt: skip
    assert plain.standard_error.min() > 5
    if num > 1:
        controlled = fit_contextual(table, ["length"])
        assert np.all(controlled.standard_error >= plain.standard_error)
        assert controlled.parameters[0].standard_error > 0
    lower, upper = bootstrap(counts, plain, 400, seed=3).bounds
    width = 2 * 1.96 * plain.standard_error
    assert upper - lower == pytest.approx(width, rel=0.25)


def test_few_decisive_votes_widen_the_fits_with_ties():
    counts = PairCounts.from_cells(["x", "y"], [0, 0, 0], [1, 1, 1], [0, 1, 2], [1, 1, 18])
    many = PairCounts.from_cells(["x", "y"], [0, 0, 0], [1, 1, 1], [0, 1, 2], [100, 100, 1800])
    for fit in (fit_davidson, fit_rao_kupper):
        # A hundredth of the votes: ten times the error, and what one more decisive vote adds.
        assert fit(counts).standard_error[0] > 10.1 * fit(many).standard_error[0]


@pytest.mark.parametrize("num", [1, 2, 99])
def test_too_few_resamples_are_refused(num):
    with pytest.raises(InputError, match=f"{num} bootstrap resamples are too few"):
        BoardSettings(bootstrap=num)
    with pytest.raises(InputError, match="too few"):
        bootstrap(ties(20), fit_bradley_terry(ties(20)), num, seed=0)
