"""Baselines and analyses on objectives whose answers are worked out by hand."""

import numpy as np
import problems
import pytest

from polylect.recipes.merge_search.ablations import leave_one_out, prune
from polylect.recipes.merge_search.baselines import baselines
from polylect.search import AspectsConfig, aspects_of, best_so_far
from polylect.stats import rank_correlation


def by_linear(matrix):
    """An objective whose tasks score linearly in the weights."""
    names = [f"t{n}" for n in range(len(matrix))]

    def objective(weights):
        values = np.array(matrix) @ np.array(weights)
        return problems.table(dict(zip(names, map(float, values), strict=True)), metric="acc")

    return objective


def test_baselines_of_a_linear_problem(tmp_path):
    # Means of a, b, c, d: 0.5, 0.6, 0.4, 0.1; c wins t0, a wins t1.
    evaluate = problems.evaluator(tmp_path, by_linear([[0.1, 0.6, 0.8, 0.1], [0.9, 0.6, 0.0, 0.1]]))
    fitness = problems.fitness_of_pool(evaluate)
    named = baselines(evaluate, fitness, top=(2, 3, 4, 8))
    third = 1 / 3
    assert {name: entry.vector for name, entry in named.items()} == {
        "single:a": (1, 0, 0, 0), "single:b": (0, 1, 0, 0),
        "single:c": (0, 0, 1, 0), "single:d": (0, 0, 0, 1),
        "uniform": (0.25, 0.25, 0.25, 0.25),
        "merge-best": (0.5, 0, 0.5, 0),
        "greedy": (0, 1, 0, 0),  # every mixture is below b
        "top-2": (0.5, 0.5, 0, 0),
        "top-3": (third, third, third, 0),
    }  # fmt: skip
    assert fitness(named["uniform"].scores) == pytest.approx(0.4)
    assert {entry.stage for entry in evaluate.archive.entries} == {"baselines"}


def test_the_greedy_soup_goes_on_after_a_member_that_does_not_help(tmp_path):
    # Alone a > b > c > d. With a: b harms, c helps, and then d helps.
    table = {
        (0,): 0.9, (1,): 0.8, (2,): 0.7, (3,): 0.6,
        (0, 1): 0.85, (0, 2): 0.95, (0, 2, 3): 0.95,
    }  # fmt: skip
    tried = []

    def objective(weights):
        members = tuple(n for n, weight in enumerate(weights) if weight)
        tried.append(members)
        return problems.table({"t": table.get(members, 0.0)}, metric="acc")

    evaluate = problems.evaluator(tmp_path, objective)
    named = baselines(evaluate, problems.fitness_of_pool(evaluate), top=())
    assert named["greedy"].vector == pytest.approx((1 / 3, 0, 1 / 3, 1 / 3))  # equal is kept
    assert tried[-3:] == [(0, 1), (0, 2), (0, 2, 3)]


def test_leave_one_out_gives_the_change_of_fitness_and_aspects(tmp_path):
    matrix = [[0.1, 0.6, 0.8, 0.1], [0.9, 0.6, 0.0, 0.1]]
    evaluate = problems.evaluator(tmp_path, by_linear(matrix))
    fitness = problems.fitness_of_pool(evaluate)
    (merged,) = evaluate([(0.4, 0.4, 0.2, 0.0)], "cma")
    rows = leave_one_out(evaluate, fitness, merged)
    assert {row.label for row in rows} == {"a", "b", "c"}  # d has no weight
    whole = np.array(matrix) @ merged.vector
    for row in rows:
        left = np.array([0.0 if name == row.label else weight for name, weight in
                         zip(problems.LABELS, merged.vector, strict=True)])  # fmt: skip
        change = np.array(matrix) @ (left / left.sum()) - whole
        assert list(row.aspects.values()) == pytest.approx(change.tolist())
        assert row.change == pytest.approx(change.mean())
        assert row.entry.vector == pytest.approx(left / left.sum())
    assert [row.change for row in rows] == sorted((row.change for row in rows), reverse=True)
    assert rows[0].label == "c"  # 0.55 without it, 0.52 with it


def test_pruning_removes_weights_below_the_threshold(tmp_path):
    evaluate = problems.evaluator(tmp_path, problems.one_target)
    fitness = problems.fitness_of_pool(evaluate, AspectsConfig(lower=("loss",)))
    (merged,) = evaluate([(0.6, 0.27, 0.12, 0.01)], "cma")
    rows = prune(evaluate, fitness, merged, (0.01, 0.1, 0.5, 1.0, 1.2, 4.0))
    assert [(row.threshold, row.num_left) for row in rows] == [
        (0.1, 3), (0.5, 2), (1.0, 2), (1.2, 1),
    ]  # fmt: skip  # under 0.0025 falls nothing, under 1 everything
    assert rows[0].entry.vector == pytest.approx((0.6 / 0.99, 0.27 / 0.99, 0.12 / 0.99, 0))
    assert rows[0].fitness == pytest.approx(-problems.distance(rows[0].entry.vector, "one"))


def test_the_rank_correlation_is_spearmans():
    assert rank_correlation([1, 2, 3, 4], [10, 30, 20, 40]).rho == pytest.approx(0.8)
    assert rank_correlation([1, 2, 3], [3, 2, 1]).rho == pytest.approx(-1)
    assert rank_correlation([1, 1, 1], [3, 2, 1]).rho is None
    left_out = rank_correlation([1, 2, float("nan"), 4], [1, 2, 3, float("inf")])
    assert (left_out.rho, left_out.num) == (None, 2)


def test_the_curve_has_a_point_for_every_improvement(tmp_path):
    evaluate = problems.evaluator(tmp_path, by_linear([[0.2, 0.5, 0.1, 0.5]]))
    fitness = problems.fitness_of_pool(evaluate)
    evaluate([(0.0, 0.5, 0.0, 0.5), (-1.0, 2.0, 0.0, 0.0)], "cma")
    assert best_so_far(evaluate.archive.entries, fitness) == [(1, 0.2), (2, 0.5), (6, 0.8)]


def test_an_aspect_without_scores_has_no_winner(tmp_path):
    def objective(weights):
        return problems.table({"t": weights[0], "u": float("nan")}, metric="acc")

    evaluate = problems.evaluator(tmp_path, objective)
    named = baselines(evaluate, problems.fitness_of_pool(evaluate), top=())
    assert named["merge-best"].vector == (1, 0, 0, 0)
    assert np.isnan(aspects_of(named["uniform"].scores, AspectsConfig())["u"])
