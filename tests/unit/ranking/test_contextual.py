from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from polylect.base import UndecidableError
from polylect.ranking import OUTCOME_SCORE, SIDE, VoteTable, fit_bradley_terry, fit_contextual


def styled(seed=0, num_votes=20000, num_models=10, coefficient=0.25, side=0.0):
    """Votes whose style difference goes with the models, and moves the verdict."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.5, num_models)
    strength -= strength.mean()
    style = rng.normal(0, 1, num_models)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    raw = style[a] - style[b] + rng.normal(0, 1.5, num_votes)
    scale = np.sqrt(np.mean(raw**2))
    win = 1 / (1 + np.exp(-(strength[a] - strength[b] + coefficient * raw / scale + side)))
    tie = rng.random(num_votes) < 0.6 * np.minimum(win, 1 - win)
    # E(score) is the win probability exactly.
    decided = rng.random(num_votes) < (win - 0.3 * np.minimum(win, 1 - win)) / (
        1 - 0.6 * np.minimum(win, 1 - win)
    )
    outcome = np.where(tie, 2, np.where(decided, 0, 1)).astype(np.int8)
    table = VoteTable(
        models=tuple(f"m{i}" for i in range(num_models)),
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        outcome=outcome,
        count=np.ones(num_votes),
        numbers={"length": raw},
    )
    return table, strength


def test_recovers_a_planted_coefficient_within_five_percent():
    table, strength = styled(num_votes=200_000, num_models=30)
    ratings = fit_contextual(table, ["length"])
    (length,) = ratings.parameters
    assert length.value == pytest.approx(0.25, rel=0.05)
    assert ratings.strength == pytest.approx(strength, abs=0.06)
    assert ratings.gradient_norm < 1e-10


def test_agrees_with_a_direct_optimum_and_its_sandwich():
    table, _ = styled(num_votes=600, num_models=4)
    table = replace(table, count=np.random.default_rng(1).integers(1, 4, len(table)).astype(float))
    ratings = fit_contextual(table, ["length", SIDE])
    rows = np.arange(len(table))
    design = np.zeros((len(table), 6))
    design[rows, table.a], design[rows, table.b] = 1.0, -1.0
    raw = table.numbers["length"]
    design[:, 4] = raw / np.sqrt(table.count @ raw**2 / table.count.sum())
    design[:, 5] = 1.0
    score = OUTCOME_SCORE[table.outcome]

    def loss(point):
        gap = design @ point
        losses = score * np.logaddexp(0, -gap) + (1 - score) * np.logaddexp(0, gap)
        win = 1 / (1 + np.exp(-gap))
        center = point[:4].sum()
        slope = design.T @ (table.count * (win - score))
        slope[:4] += 2 * center
        return table.count @ losses + center**2, slope

    solution = minimize(loss, np.zeros(6), jac=True, method="BFGS", options={"gtol": 1e-8})
    values = np.append(ratings.strength, [parameter.value for parameter in ratings.parameters])
    assert values == pytest.approx(solution.x, abs=1e-8)
    win = 1 / (1 + np.exp(-design @ values))
    inverse = np.linalg.pinv(design.T @ (design * (table.count * win * (1 - win))[:, None]), 1e-10)
    meat = design.T @ (design * (table.count * (score - win) ** 2)[:, None])
    expected = inverse @ meat @ inverse
    assert ratings.covariance == pytest.approx(expected[:4, :4], abs=1e-9)
    errors = [parameter.standard_error for parameter in ratings.parameters]
    assert errors == pytest.approx(np.sqrt(np.diag(expected)[4:]), rel=1e-6)


def test_block_size_does_not_change_the_fit(monkeypatch):
    table, _ = styled(num_votes=5000)
    whole = fit_contextual(table, ["length"])
    monkeypatch.setattr("polylect.ranking.contextual._BLOCK_ROWS", 700)
    assert fit_contextual(table, ["length"]).strength == pytest.approx(whole.strength, abs=1e-12)


def test_without_features_it_is_the_plain_fit():
    table, _ = styled(num_votes=5000)
    plain = fit_bradley_terry(table.counts())
    ratings = fit_contextual(table, [])
    assert ratings.strength == pytest.approx(plain.strength, abs=1e-10)
    assert ratings.covariance == pytest.approx(plain.covariance, abs=1e-12)


def test_swapping_sides_keeps_style_and_flips_the_side():
    table, _ = styled(num_votes=5000, side=0.2)
    swapped = replace(
        table,
        a=table.b,
        b=table.a,
        outcome=np.array([1, 0, 2, 3], np.int8)[table.outcome],
        numbers={"length": -table.numbers["length"]},
    )
    shown, mirrored = (fit_contextual(t, ["length", SIDE]) for t in (table, swapped))
    assert shown.strength == pytest.approx(mirrored.strength, abs=1e-10)
    assert shown.parameters[0].value == pytest.approx(mirrored.parameters[0].value, abs=1e-10)
    assert shown.parameters[1].value == pytest.approx(-mirrored.parameters[1].value, abs=1e-10)
    assert shown.parameters[1].value == pytest.approx(0.2, abs=0.1)


def test_a_feature_that_is_the_model_is_refused():
    table, _ = styled(num_votes=3000)
    style = np.arange(10.0)
    fixed = replace(table, numbers={"length": style[table.a] - style[table.b]})
    with pytest.raises(UndecidableError, match="'length' cannot be told from the models"):
        fit_contextual(fixed, ["length"])
    twice = replace(table, numbers={"x": table.numbers["length"], "y": table.numbers["length"]})
    with pytest.raises(UndecidableError, match="cannot be told from"):
        fit_contextual(twice, ["x", "y"])
    zero = replace(table, numbers={"x": np.zeros(len(table))})
    with pytest.raises(UndecidableError, match="never differs"):
        fit_contextual(zero, ["x"])
