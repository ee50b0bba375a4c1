import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from polylect.base import UndecidableError
from polylect.ranking import (
    PairCounts,
    fit_both_bad,
    fit_bradley_terry,
    fit_davidson,
    fit_rao_kupper,
)


def davidson(a, b, extra):
    weight = np.column_stack([np.exp(a), np.exp(b), np.exp(extra[0] + (a + b) / 2)])
    return weight / weight.sum(1, keepdims=True)


def rao_kupper(a, b, extra):
    up, down = expit(a - b - extra[0]), expit(b - a - extra[0])
    return np.column_stack([up, down, 1 - up - down])


def both_bad(a, b, extra):
    weight = np.exp(np.column_stack([a, b, extra[0] + (a + b) / 2, np.full_like(a, extra[1])]))
    return weight / weight.sum(1, keepdims=True)


MODELS = [
    (fit_davidson, davidson, [0.0]),
    (fit_rao_kupper, rao_kupper, [0.5]),
    (fit_both_bad, both_bad, [0.0, 0.0]),
]


def cells_of(counts, extra):
    cells = counts.outcomes
    return cells if len(extra) == 2 else np.column_stack([cells[:, :2], cells[:, 2:].sum(1)])


@pytest.mark.parametrize(("fit", "law", "extra"), MODELS)
def test_agrees_with_a_direct_optimum(world, fit, law, extra):
    counts = world(1, num_models=5)
    size = counts.num_models
    cells = cells_of(counts, extra)

    def loss(point):
        strength = point[:size]
        share = law(strength[counts.first], strength[counts.second], point[size:])
        return -(cells * np.log(share)).sum() + 50 * strength.sum() ** 2

    solution = minimize(loss, np.append(np.zeros(size), extra), method="BFGS", tol=1e-9)
    ratings = fit(counts)
    assert ratings.strength == pytest.approx(solution.x[:size], abs=2e-5)
    values = [parameter.value for parameter in ratings.parameters]
    assert values == pytest.approx(solution.x[size:], abs=2e-5)
    assert loss(np.append(ratings.strength, values)) <= solution.fun + 1e-9
    assert ratings.gradient_norm < 1e-13


@pytest.mark.parametrize(("fit", "law", "extra"), MODELS)
def test_the_sandwich_has_the_spread_of_repeated_samples(fit, law, extra):
    rng = np.random.default_rng(3)
    truth = np.array([0.5, 0.1, -0.2, -0.4])
    truth -= truth.mean()
    extra = [value + 0.3 for value in extra]
    first, second = np.triu_indices(4, 1)
    share = law(truth[first], truth[second], np.array(extra))
    names = [f"m{i}" for i in range(4)]
    estimates, errors = [], []
    for _ in range(400):
        cells = rng.multinomial(150, share)
        outcomes = np.zeros((len(first), 4))
        outcomes[:, : cells.shape[1]] = cells
        ratings = fit(PairCounts(tuple(names), first, second, outcomes))
        values = [parameter.value for parameter in ratings.parameters]
        estimates.append(np.append(ratings.strength, values))
        extra_errors = [parameter.standard_error for parameter in ratings.parameters]
        errors.append(np.append(np.sqrt(np.diag(ratings.covariance)), extra_errors))
    assert np.std(estimates, 0) == pytest.approx(np.mean(errors, 0), rel=0.12)
    assert np.mean(estimates, 0) == pytest.approx(np.append(truth, extra), abs=0.03)


def test_the_hessian_is_the_difference_quotient_of_the_gradient(world):
    from polylect.ranking.ties import _assemble, _rao_kupper_model, _softmax_model

    counts = world(2, num_models=4)
    design = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 1.0]])
    for model, extra in ((_rao_kupper_model, [0.4]), (_softmax_model(design), [0.2, -0.3])):
        cells = cells_of(counts, extra)
        point = np.append(np.array([0.3, -0.2, 0.1, -0.2]), extra)
        gradient, hessian, _, _ = _assemble(counts, cells, model, point)
        for k in range(len(point)):
            step = np.zeros(len(point))
            step[k] = 1e-5
            up = _assemble(counts, cells, model, point + step)
            down = _assemble(counts, cells, model, point - step)
            assert (up[3] - down[3]) / 2e-5 == pytest.approx(gradient[k], rel=1e-6, abs=1e-4)
            assert -(up[0] - down[0]) / 2e-5 == pytest.approx(hessian[k], rel=1e-6, abs=1e-4)


def test_without_ties_all_are_bradley_terry(world):
    counts = world(4, tie=0.0)
    plain = fit_bradley_terry(counts)
    for fit, _, _ in MODELS:
        ratings = fit(counts)
        assert ratings.strength == pytest.approx(plain.strength, abs=1e-9)
        assert ratings.covariance == pytest.approx(plain.covariance, abs=1e-12)
        assert ratings.parameters == ()


def test_without_plain_ties_both_bad_stays(world):
    counts = world(4)
    outcomes = counts.outcomes.copy()
    outcomes[:, 2] = 0
    ratings = fit_both_bad(counts.with_outcomes(outcomes))
    assert [parameter.name for parameter in ratings.parameters] == ["both bad"]


def test_only_ties_is_refused():
    counts = PairCounts.from_cells(["x", "y"], [0], [1], [2], [9])
    with pytest.raises(UndecidableError, match="every vote is a tie"):
        fit_davidson(counts)


def test_a_model_called_bad_less_often_is_better_only_where_it_counts():
    # x and y are level between themselves, but with x in the pair z's battles end both-bad less.
    cells = {(0, 1): (50, 50, 10, 10), (0, 2): (60, 40, 10, 5), (1, 2): (60, 40, 10, 60)}
    rows = [(i, j, k, n) for (i, j), row in cells.items() for k, n in enumerate(row)]
    a, b, outcome, count = np.array(rows).T
    counts = PairCounts.from_cells(["x", "y", "z"], a, b, outcome, count)
    half_point, both_bad_ratings = fit_bradley_terry(counts), fit_both_bad(counts)
    assert abs(half_point.strength[0] - half_point.strength[1]) < 0.1
    assert both_bad_ratings.strength[0] - both_bad_ratings.strength[1] > 0.2


def test_ties_do_not_stand_in_for_losses():
    # x never lost; its ties with y can be explained by a large tie parameter alone.
    counts = PairCounts.from_cells(["x", "y"], [0, 0], [1, 1], [0, 2], [4, 3])
    for fit, _, _ in MODELS:
        with pytest.raises(UndecidableError, match=r"no finite solution.*against x"):
            fit(counts)
    # Where another pair says how common ties are, they do.
    more = PairCounts.from_cells(
        ["x", "y", "z"], [0, 0, 1, 2, 1], [1, 1, 2, 1, 2], [0, 2, 0, 0, 2], [4, 3, 5, 5, 2]
    )
    for fit, _, _ in MODELS:
        assert fit(more).order[0] == 0
