"""Laws of mixtures and what they recommend, on worlds whose law is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.mixtures import FitConfig, candidates, explains, fit_law, left_out_errors, recommend

STREAMS, CELLS, RUNS = 5, 8, 64
EVEN = np.full(STREAMS, 1 / STREAMS)


def exponential(seed):
    """A world of the log-linear form: each cell learns from one stream above all."""
    random = np.random.default_rng(seed)
    floor, scale = random.uniform(1, 2, CELLS), random.uniform(0.5, 1.5, CELLS)
    rates = random.uniform(-0.2, 0.6, (STREAMS, CELLS))
    rates[np.arange(CELLS) % STREAMS, np.arange(CELLS)] += random.uniform(0.8, 2.0, CELLS)
    return lambda shares: floor + scale * np.exp(-(shares @ rates))


def logarithmic(seed):
    """A world of another form: the loss falls with the logarithm of a stream's share."""
    random = np.random.default_rng(seed)
    level, slope = random.uniform(2, 3, CELLS), random.uniform(0.1, 0.3, CELLS)
    owner = np.arange(CELLS) % STREAMS
    return lambda shares: level - slope * np.log(0.02 + shares[:, owner])


def runs_of(world, seed, noise=0.005):
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(STREAMS), RUNS)
    return shares, world(shares) * (1 + noise * random.standard_normal((RUNS, CELLS)))


def test_a_linear_law_is_least_squares():
    shares, losses = runs_of(exponential(0), 1)
    expected = np.linalg.lstsq(shares, losses, rcond=None)[0]
    law = fit_law("linear", shares, losses)
    assert np.allclose(law.coefficients, expected)
    # In closed form: the residual over what the run does not decide of its own prediction.
    hat = shares @ np.linalg.pinv(shares)
    residual = law.predict(shares) - losses
    closed = residual / (1 - np.diag(hat))[:, None]
    assert np.allclose(left_out_errors("linear", shares, losses), closed)


def test_a_log_linear_law_is_found_again_without_noise():
    world = exponential(3)
    shares, losses = runs_of(world, 4, noise=0.0)
    law = fit_law("log-linear", shares, losses)
    other = np.random.default_rng(9).dirichlet(np.ones(STREAMS), 500)
    assert np.abs(law.predict(other) / world(other) - 1).max() < 4e-3
    linear = fit_law("linear", shares, losses)
    assert np.abs(linear.predict(other) / world(other) - 1).max() > 1e-2


@pytest.mark.parametrize("make", [exponential, logarithmic])
def test_the_recommended_mixture_is_nearly_the_best(make):
    good = 0
    for seed in range(12):
        world = make(seed)
        shares, losses = runs_of(world, 100 + seed)
        found = recommend(shares, losses, EVEN, FitConfig(resamples=4, seed=seed))
        level = losses.mean(axis=0)
        best = (world(candidates(STREAMS, 20_000, 7)) / level).mean(axis=1).min()
        good += (world(found.shares[None]) / level).mean() <= 1.01 * best
        assert found.is_change
        assert found.law_name == "log-linear"
    assert good >= 11


def test_no_change_is_recommended_where_nothing_matters():
    changes = 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        shares = random.dirichlet(np.ones(STREAMS), 24)
        losses = 2 * (1 + 0.01 * random.standard_normal((24, 4)))
        found = recommend(shares, losses, EVEN, FitConfig(resamples=2, seed=seed))
        changes += found.is_change
        if not found.is_change:
            assert (found.shares == EVEN).all()
            assert (found.gains == 0).all()
    assert changes <= 5  # of 30 at a level of 5 %: more than 5 in 1 of 300 such tests


def test_p_values_are_even_under_the_null():
    p_values = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        shares = random.dirichlet(np.ones(3), 12)
        losses = 2 + 0.1 * random.standard_normal((12, 2))
        p_values.append(explains("linear", shares, losses, lambda values: values.mean(axis=1),
                                 num_permutations=39, seed=seed))  # fmt: skip
    assert 0.35 < float(np.mean(p_values)) < 0.65
    assert min(p_values) >= 1 / 40


def test_rules_do_what_they_say():
    world = exponential(5)
    shares, losses = runs_of(world, 6)
    found = {rule: recommend(shares, losses, EVEN, FitConfig(rule=rule, resamples=30, seed=1))
             for rule in ("average", "worst", "nobody-pays")}  # fmt: skip
    assert found["average"].gains.mean() >= max(each.gains.mean() for each in found.values()) - 1e-9
    assert found["worst"].gains.min() >= max(each.gains.min() for each in found.values()) - 1e-9
    assert (found["nobody-pays"].gains >= -1e-6).all()
    for each in found.values():
        assert (each.lower <= each.gains + 1e-9).all()
        assert (each.gains <= each.upper + 1e-9).mean() > 0.8


@settings(max_examples=80, deadline=None)
@given(
    low=st.lists(st.floats(0, 0.2), min_size=4, max_size=4),
    width=st.lists(st.floats(0.05, 1), min_size=4, max_size=4),
)
def test_candidates_keep_their_bounds(low, width):
    low = np.array(low)
    high = np.minimum(1, low + width)
    if high.sum() < 1:
        with pytest.raises(InputError, match="no mixture keeps the bounds"):
            candidates(4, 50, 0, low, high)
        return
    pool = candidates(4, 50, 0, low, high)
    assert np.allclose(pool.sum(axis=1), 1)
    assert (pool >= low - 1e-9).all()
    assert (pool <= high + 1e-9).all()


def test_bounds_are_kept_by_what_is_recommended():
    shares, losses = runs_of(exponential(8), 2)
    high = np.array([0.3, 1, 1, 1, 0.25])
    found = recommend(shares, losses, EVEN, FitConfig(resamples=2), highest=high)
    assert (found.shares <= high + 1e-9).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, y: (s[:5], y[:5]), "5 runs for 5 streams"),
        (lambda s, y: (s, np.where(np.arange(RUNS)[:, None] == 3, np.nan, y)), "losses: row 4"),
        (lambda s, y: (s * 1.1, y), r"shares: row \d+ sums to 1.1"),
        (lambda s, y: (s, y - 10), "not all are above 0"),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused(change, words):
    shares, losses = change(*runs_of(exponential(0), 0))
    with pytest.raises(InputError, match=words):
        recommend(shares, losses, EVEN, FitConfig())
