import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from polylect.base import UndecidableError
from polylect.ranking import (
    ELO_PER_NAT,
    OUTCOME_SCORE,
    PairCounts,
    fit_bradley_terry,
    fit_strengths,
    vote_influence,
)


def test_the_real_board_has_the_published_top(arena):
    ratings = fit_bradley_terry(arena)
    shift = ratings.shift(("mixtral-8x7b-instruct-v0.1", 1114.0))
    lower, upper = ratings.bounds
    top = [
        (ratings.models[i], ratings.elo[i] + shift, (upper[i] - lower[i]) / 2)
        for i in ratings.order[:5]
    ]
    assert [name for name, _, _ in top] == [
        "chatgpt-4o-latest",
        "gemini-1.5-pro-exp-0801",
        "gpt-4o-2024-05-13",
        "gpt-4o-mini-2024-07-18",
        "claude-3-5-sonnet-20240620",
    ]
    assert [x for _, x, _ in top] == pytest.approx(
        [1315.2, 1298.4, 1285.8, 1274.8, 1271.0], abs=0.1
    )
    assert [x for _, _, x in top] == pytest.approx([4.7, 4.0, 2.2, 4.0, 2.8], abs=0.1)
    assert ratings.gradient_norm < 1e-14


def test_two_models_have_the_closed_form():
    counts = PairCounts.from_cells(
        ["x", "y"], [0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 2, 3], [300, 100, 60, 40]
    )
    ratings = fit_bradley_terry(counts)
    assert ratings.strength[0] - ratings.strength[1] == pytest.approx(np.log(350 / 150), abs=1e-12)
    p = 0.7
    meat = 300 * (1 - p) ** 2 + 100 * p**2 + 100 * (0.5 - p) ** 2
    error = np.sqrt(meat) / (500 * p * (1 - p)) * ELO_PER_NAT
    assert ratings.difference_error[0, 1] == pytest.approx(error, rel=1e-10)
    assert ratings.standard_error[0] == pytest.approx(error / 2, rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_reference_solution_to_a_millionth_of_a_point(world, seed):
    counts = world(seed, num_models=12)

    def loss(free):
        strength = np.append(free, 0.0)
        gap = strength[counts.first] - strength[counts.second]
        value = counts.first_score @ np.logaddexp(0, -gap) + counts.second_score @ np.logaddexp(
            0, gap
        )
        residual = counts.totals * expit(gap) - counts.first_score
        return value, counts.node_difference(residual)[:-1]

    def hessian(free):
        strength = np.append(free, 0.0)
        gap = strength[counts.first] - strength[counts.second]
        weight = counts.totals * expit(gap) * expit(-gap)
        matrix = np.diag(counts.node_sum(weight))
        matrix[counts.first, counts.second] -= weight
        matrix[counts.second, counts.first] -= weight
        return matrix[:-1, :-1]

    solution = minimize(loss, np.zeros(11), jac=True, hess=hessian, method="trust-exact", tol=1e-12)
    # scipy stops at its own gradient tolerance; two exact Newton steps bring it to 1e-12.
    free = solution.x
    for _ in range(2):
        free = free - np.linalg.solve(hessian(free), loss(free)[1])
    assert np.abs(loss(free)[1]).max() < 1e-10
    expected = np.append(free, 0.0)
    expected -= expected.mean()
    assert fit_bradley_terry(counts).elo == pytest.approx(expected * ELO_PER_NAT, abs=1e-6)


def test_the_sandwich_is_that_of_the_single_votes(world):
    counts = world(5, num_models=5, num_votes=300)
    ratings = fit_bradley_terry(counts)
    size = counts.num_models
    rows, residuals = [], []
    for i, j, cells in zip(counts.first, counts.second, counts.outcomes, strict=True):
        for score, num in zip(OUTCOME_SCORE, cells, strict=True):
            row = np.zeros(size)
            row[i], row[j] = 1.0, -1.0
            rows += [row] * int(num)
            residuals += [score - expit(ratings.strength[i] - ratings.strength[j])] * int(num)
    design, residual = np.array(rows), np.array(residuals)
    win = expit(design @ ratings.strength)
    inverse = np.linalg.pinv(design.T @ (design * (win * (1 - win))[:, None]), rcond=1e-10)
    score = design * residual[:, None]
    assert score.sum(0) == pytest.approx(np.zeros(size), abs=1e-9)
    expected = inverse @ (score.T @ score) @ inverse
    assert ratings.covariance == pytest.approx(expected, abs=1e-12)
    assert ratings.bread == pytest.approx(inverse, abs=1e-12)


def test_influence_is_the_derivative_of_the_refit(world):
    counts = world(2)
    ratings = fit_bradley_terry(counts)
    contrast = np.zeros(counts.num_models)
    contrast[0], contrast[3] = 1.0, -1.0
    influence = vote_influence(counts, ratings, contrast)
    step = 1e-4
    for pair, outcome in [(0, 0), (4, 1), (7, 2), (9, 3)]:
        values = []
        for sign in (1.0, -1.0):
            changed = counts.outcomes.copy()
            changed[pair, outcome] += sign * step
            values.append(contrast @ fit_strengths(counts.with_outcomes(changed)))
        slope = (values[0] - values[1]) / (2 * step)
        assert influence[pair, outcome] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_a_warm_refit_is_the_cold_fit(world):
    counts = world(3)
    start = fit_bradley_terry(counts).strength
    changed = counts.outcomes.copy()
    changed[0, 0] += 25
    counts = counts.with_outcomes(changed)
    assert fit_strengths(counts, start) == pytest.approx(fit_strengths(counts), abs=1e-12)


def test_a_billion_votes_on_one_pair_keep_every_digit():
    counts = PairCounts.from_cells(
        ["x", "y", "z"], [0, 0, 1, 1, 2], [1, 1, 2, 2, 0], [0, 1, 0, 1, 0], [10**9 - 1, 1, 6, 3, 2]
    )
    counts = counts.merged(PairCounts.from_cells(["x", "z"], [0], [1], [0], [5]))
    ratings = fit_bradley_terry(counts)
    x, y, z = ratings.strength
    # Residuals in the form that does not cancel.
    xy = (10**9 - 1) * expit(y - x) - 1 * expit(x - y)
    yz = 6 * expit(z - y) - 3 * expit(y - z)
    xz = 5 * expit(z - x) - 2 * expit(x - z)
    assert [xy + xz, yz - xy] == pytest.approx([0, 0], abs=1e-9)
    assert np.all(np.isfinite(ratings.standard_error))
    assert ratings.gradient_norm < 1e-15


def test_weights_are_repeated_votes_for_the_estimate(world):
    counts = world(4)
    weights = np.linspace(1, 3, len(counts.first))
    weighted = fit_bradley_terry(counts, weights=weights)
    repeated = fit_bradley_terry(counts.with_outcomes(counts.outcomes * weights[:, None]))
    assert weighted.strength == pytest.approx(repeated.strength, abs=1e-10)
    assert "reweighted" in weighted.method


def test_without_a_prior_a_winner_of_all_is_refused_by_name():
    counts = PairCounts.from_cells(["x", "y", "z"], [0, 1, 2, 0], [1, 2, 1, 2], [0, 0, 0, 0])
    with pytest.raises(UndecidableError, match="strength of x is not finite"):
        fit_bradley_terry(counts)


def test_a_prior_is_stated_and_solves_its_own_equations():
    counts = PairCounts.from_cells(["x", "y"], [0], [1], [0], [7])
    ratings = fit_bradley_terry(counts, prior_sd=200.0)
    x, y = ratings.strength
    assert 7 * expit(y - x) == pytest.approx(x * (ELO_PER_NAT / 200) ** 2, abs=1e-9)
    assert "normal prior of sd 200 Elo" in ratings.method
    assert ratings.interval == "posterior"


def test_a_few_ties_are_not_certainty():
    tie = fit_bradley_terry(PairCounts.from_cells(["x", "y"], [0], [1], [2], [1]))
    # As one decisive vote between equals: variance p(1 - p) over curvature p(1 - p) squared.
    assert tie.difference_error[0, 1] == pytest.approx(2.0 * ELO_PER_NAT, rel=1e-9)
    many = fit_bradley_terry(PairCounts.from_cells(["x", "y"], [0], [1], [2], [100]))
    assert many.difference_error[0, 1] == pytest.approx(0.02 * ELO_PER_NAT, rel=1e-9)
