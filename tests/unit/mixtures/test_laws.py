"""Laws of mixtures, against closed forms, scipy, and worlds whose law is known."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from polylect.base import InputError
from polylect.mixtures import (
    SMOOTH,
    deal_folds,
    features_of,
    fit_law,
    largest_scale_error,
    predict_left_out,
)

STREAMS, CELLS = 5, 8


def exponential(seed, streams=STREAMS, cells=CELLS):
    """A world of the log-linear form: each cell learns from one stream above all."""
    random = np.random.default_rng(seed)
    floor, scale = random.uniform(1, 2, cells), random.uniform(0.5, 1.5, cells)
    rates = random.uniform(-0.2, 0.6, (streams, cells))
    rates[np.arange(cells) % streams, np.arange(cells)] += random.uniform(0.8, 2.0, cells)
    return lambda shares: floor + scale * np.exp(-(shares @ rates))


def runs_of(world, seed, noise=0.005, streams=STREAMS, mixtures=64, seeds=1):
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(streams), mixtures).repeat(seeds, axis=0)
    losses = world(shares)
    return shares, losses * (1 + noise * random.standard_normal(losses.shape))


def test_a_linear_law_and_its_errors_are_in_closed_form():
    shares, losses = runs_of(exponential(0), 1)
    law = fit_law("linear", shares, losses)
    assert np.allclose(law.coefficients, np.linalg.lstsq(shares, losses, rcond=None)[0])
    hat = shares @ np.linalg.pinv(shares)
    closed = losses + (law.predict(shares) - losses) / (1 - np.diag(hat))[:, None]
    folds = np.arange(len(shares))
    assert np.allclose(predict_left_out("linear", shares, losses, folds, STREAMS), closed)


@pytest.mark.parametrize("streams", [2, 3, 5])
@pytest.mark.parametrize("mixtures", [24, 64])
@pytest.mark.parametrize("law", ["log-linear", "log-root"])
def test_an_exponential_law_is_as_good_as_scipys(law, mixtures, streams):
    shares, losses = runs_of(
        lambda h: 1 + 0.6 * (h[:, [0, 1]] + 0.01) ** -0.25, 3, streams=streams, mixtures=mixtures
    )
    features = features_of(law, shares, streams)
    fitted = fit_law(law, shares, losses).predict(shares)
    for cell in range(2):
        target = losses[:, cell]

        def residual(values, target=target):
            return values[0] + np.exp(np.minimum(features @ values[1:], 50)) - target

        low = np.append(0, np.full(features.shape[1], -60))
        high = np.append(0.995 * target.min(), np.full(features.shape[1], 60))
        costs = []
        for fraction in (0.1, 0.5, 0.9):
            floor = fraction * target.min()
            start = np.append(floor, np.linalg.pinv(features) @ np.log(target - floor))
            costs.append(2 * least_squares(residual, start, bounds=(low, high)).cost)
        ours = ((fitted[:, cell] - target) ** 2).sum()
        assert ours <= min(costs) * 1.001


@pytest.mark.parametrize("law", ["log-linear", "log-root"])
def test_an_exponential_law_is_found_again_without_noise(law):
    world = exponential(3)
    shares, losses = runs_of(world, 4, noise=0.0)
    other = np.random.default_rng(9).dirichlet(np.ones(STREAMS), 500)
    assert np.abs(fit_law(law, shares, losses).predict(other) / world(other) - 1).max() < 1e-3
    linear = fit_law("linear", shares, losses)
    assert np.abs(linear.predict(other) / world(other) - 1).max() > 1e-2


def test_a_quadratic_law_finds_a_best_share_in_between():
    share = np.linspace(0, 1, 6)
    shares = np.stack([share, 1 - share], axis=1)
    losses = 2 + (share[:, None] - 0.25) ** 2
    law = fit_law("quadratic", shares, losses)
    fine = np.linspace(0, 1, 101)
    predicted = law.predict(np.stack([fine, 1 - fine], axis=1))[:, 0]
    assert np.allclose(predicted, 2 + (fine - 0.25) ** 2)
    assert fine[predicted.argmin()] == pytest.approx(0.25)


@settings(max_examples=40, deadline=None)
@given(
    law=st.sampled_from(SMOOTH), streams=st.integers(2, 5), cells=st.integers(1, 4),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_laws_know_no_order_of_runs_cells_or_streams(law, streams, cells, seed):
    shares, losses = runs_of(exponential(seed, streams, cells), seed, streams=streams)
    random = np.random.default_rng(seed)
    rows, turned, others = (random.permutation(num) for num in (len(shares), streams, cells))
    expected = fit_law(law, shares, losses).predict(shares)
    changed = fit_law(law, shares[rows][:, turned], losses[rows][:, others])
    assert np.allclose(changed.predict(shares[:, turned]), expected[:, others], rtol=2e-4)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=40), num=st.integers(2, 12))
def test_no_mixture_is_in_two_folds(sizes, num):
    mixtures = np.repeat(np.arange(len(sizes)), sizes)
    folds = deal_folds(mixtures, num)
    for mixture in range(len(sizes)):
        assert len(set(folds[mixtures == mixture].tolist())) == 1
    assert sorted(set(folds.tolist())) == list(range(min(num, len(sizes))))
    assert (deal_folds(mixtures, None) == mixtures).all()


def test_another_seed_of_a_mixture_tells_nothing_of_it():
    """With three seeds, leaving runs out alone would look better than it is."""
    world = exponential(1)
    shares, losses = runs_of(world, 2, mixtures=8, seeds=3, noise=0.001)
    mixtures = np.repeat(np.arange(8), 3)
    errors = [
        np.abs(predict_left_out("linear", shares, losses, folds, STREAMS) - losses).mean()
        for folds in (np.arange(24), mixtures)
    ]
    assert errors[1] > 1.5 * errors[0]
    predicted = predict_left_out("linear", shares, losses, mixtures, STREAMS)
    assert np.ptp(predicted.reshape(8, 3, CELLS), axis=1).max() < 1e-9


def test_a_scaling_law_is_found_again_and_predicts_a_scale_that_it_has_not_seen():
    random = np.random.default_rng(5)
    shares = random.dirichlet(np.ones(3), 12).repeat(4, axis=0)
    scales = np.tile([0.25, 0.5, 1.0, 4.0], 12)
    rates, slopes = random.uniform(0.2, 1.5, (3, 4)), np.array([0.1, 0.2, 0.3, 0.15])
    losses = 0.8 + np.exp(-(shares @ rates)) * scales[:, None] ** -slopes
    assert largest_scale_error("log-linear", shares, losses, scales).max() < 1e-3
    assert largest_scale_error("linear", shares, losses, scales).max() > 1e-2
    two = scales >= 1
    errors = largest_scale_error("log-linear", shares[two], losses[two], scales[two])
    assert np.isnan(errors).all()


class TestBoosted:
    @pytest.fixture(autouse=True)
    def _lightgbm(self):
        pytest.importorskip("lightgbm")

    def test_it_is_lightgbm_with_the_settings_of_regmix(self):
        import lightgbm

        shares, losses = runs_of(exponential(0, cells=2), 1, mixtures=600)
        settings = {"objective": "regression", "learning_rate": 1e-2, "seed": 42, "num_threads": 1,
                    "verbosity": -1}  # fmt: skip
        trees = lightgbm.train(settings, lightgbm.Dataset(shares, losses[:, 1]), 1000)
        ours = fit_law("boosted", shares, losses).predict(shares)
        assert np.allclose(ours[:, 1], trees.predict(shares), rtol=1e-12)
        assert (fit_law("boosted", shares, losses).predict(shares) == ours).all()

    def test_a_small_table_is_split_too(self):
        shares, losses = runs_of(exponential(0, cells=1), 1, mixtures=30)
        predicted = fit_law("boosted", shares, losses).predict(shares)
        assert np.corrcoef(predicted[:, 0], losses[:, 0])[0, 1] > 0.9


def test_a_boosted_fit_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    shares, losses = runs_of(exponential(0), 1)
    with pytest.raises(InputError, match=r"a boosted fit needs the package 'lightgbm'.*\[fit\]"):
        fit_law("boosted", shares, losses)
