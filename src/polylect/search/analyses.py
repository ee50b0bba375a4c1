"""What a finished search tells: who collides with whom, which weights matter, how it went."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.search.archive import Entry
from polylect.search.evaluator import Evaluator
from polylect.search.fitness import Fitness, aspects_of
from polylect.search.weight_map import Weights

LEAVE_ONE_OUT = "leave-one-out"
PRUNING = "pruning"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A merge without one of its members.

    Attributes:
        label: who was left out.
        weight: what it had.
        entry: the merge of the others, their weights divided by their sum.
        change: of the fitness, against the whole merge; above 0, the member costs something.
        aspects: the same of every aspect: above 0, the member collides with it.
    """

    label: str
    weight: float
    entry: Entry
    change: float
    aspects: dict[str, float]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A merge without its small weights.

    Attributes:
        threshold: in parts of 1/n: weights whose magnitude is below it became 0.
        num_left: models that are left.
        entry: the merge of those.
        fitness: its fitness.
    """

    threshold: float
    num_left: int
    entry: Entry
    fitness: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        rho: from -1 to 1; None where one side is all equal.
        p: two-sided; None where there is no rho.
        num: pairs.
    """

    rho: float | None
    p: float | None
    num: int


def leave_one_out(evaluate: Evaluator, fitness: Fitness, merged: Entry) -> list[LeftOut]:
    """The merge without each member in turn, the most harmful member first.

    A member whose weight is 0 is not tried, nor one whose others sum to 0 or less.
    """
    labels = evaluate.archive.labels
    tried = [(one, _without(merged.weights, [one])) for one in range(len(labels))
             if merged.weights[one]]  # fmt: skip
    kept = [(one, weights) for one, weights in tried if weights is not None]
    found = evaluate([weights for _, weights in kept], LEAVE_ONE_OUT)
    whole, before = fitness(merged.scores), aspects_of(merged.scores, fitness.aspects)
    rows = []
    for (one, _), entry in zip(kept, found, strict=True):
        after = aspects_of(entry.scores, fitness.aspects)
        rows.append(
            LeftOut(
                labels[one],
                merged.weights[one],
                entry,
                fitness(entry.scores) - whole,
                {name: after[name] - before[name] for name in before},
            )
        )
    return sorted(rows, key=lambda row: -row.change)


def prune(
    evaluate: Evaluator,
    fitness: Fitness,
    merged: Entry,
    thresholds: Sequence[float] = (0.01, 0.1, 0.25, 0.5, 1.0),
) -> list[Pruned]:
    """The merge after its small weights were set to 0 and the others divided by their sum.

    A softmax never gives 0, so that "nearly all are used" has to be shown by taking weights away.

    Args:
        evaluate: scores candidates.
        fitness: of the merges.
        merged: the whole merge.
        thresholds: in parts of 1/n; those under which nothing or everything falls are left out.
    """
    num = len(merged.weights)
    asked: list[tuple[float, Weights]] = []
    for threshold in sorted(thresholds):
        small = [n for n, one in enumerate(merged.weights) if abs(one) < threshold / num]
        weights = _without(merged.weights, small) if small else None
        if weights is not None:
            asked.append((threshold, weights))
    found = evaluate([weights for _, weights in asked], PRUNING)
    return [
        Pruned(threshold, sum(one != 0 for one in weights), entry, fitness(entry.scores))
        for (threshold, weights), entry in zip(asked, found, strict=True)
    ]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Spearman's rank correlation of two columns, such as weights and single scores."""
    from scipy.stats import spearmanr

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a + b)]
    columns = np.array(pairs).T if pairs else np.empty((2, 0))
    if len(pairs) < 3 or any(len(set(one)) < 2 for one in columns.tolist()):
        return Correlation(None, None, len(pairs))
    found = spearmanr(columns[0], columns[1])
    return Correlation(float(found.statistic), float(found.pvalue), len(pairs))


def best_so_far(entries: Sequence[Entry], fitness: Fitness) -> list[tuple[int, float]]:
    """Evaluations and the best fitness up to there, at every candidate that was better."""
    found: list[tuple[int, float]] = []
    for one in entries:
        value = fitness(one.scores)
        if not found or value > found[-1][1]:
            found.append((one.number + 1, value))
    return found


def best_entry(entries: Sequence[Entry], fitness: Fitness) -> Entry:
    """The fittest candidate; of equals the first."""
    return max(entries, key=lambda one: (fitness(one.scores), -one.number))


def _without(weights: Weights, dropped: Sequence[int]) -> Weights | None:
    """The weights without some members; None where nothing is left to divide by."""
    left = [0.0 if n in dropped else one for n, one in enumerate(weights)]
    total, size = math.fsum(left), math.fsum(map(abs, left))
    if not size or total < 1e-6 * size:
        return None
    return tuple(one / total for one in left)
