"""Objectives with a known answer, importable from another process."""

import numpy as np

from polylect.recipes.merge_search.baselines import singles
from polylect.rows import ScoreTable
from polylect.search import Archive, AspectsConfig, Evaluator, Fitness, FitnessConfig

TARGETS = {
    "one": np.array([0.5, 0.2, 0.2, 0.1]),
    "two": np.array([0.1, 0.1, 0.3, 0.5]),
}
LABELS = ("a", "b", "c", "d")


def distance(weights, name):
    """Squared distance from a target: 0 is best."""
    return float(((np.array(weights) - TARGETS[name]) ** 2).sum())


def table(values, metric="loss", language="en"):
    """A score of one item for every task."""
    rows = [
        {
            "checkpoint": "x", "task": name, "language": language, "item": "i",
            "metric": metric, "value": value,
        }
        for name, value in values.items()
    ]  # fmt: skip
    return ScoreTable.from_rows(rows)


def two_targets(weights):
    """How far the weights are from both targets."""
    return table({name: distance(weights, name) for name in TARGETS})


def one_target(weights):
    return table({"one": distance(weights, "one")})


def evaluator(path, objective):
    """An evaluator with a new archive, which is written once a generation."""
    return Evaluator(Archive(path / "archive", LABELS, {}), objective, batch_size=100)


def fitness_of_pool(evaluate, aspects=None):
    """The macro-average, after the singles were evaluated."""
    alone = list(singles(evaluate).values())
    return Fitness.of(aspects or AspectsConfig(), FitnessConfig(), alone)
