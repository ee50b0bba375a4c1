"""Ablations of a merge: every member left out in turn, and small weights pruned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polylect.search import Entry, Evaluator, Fitness, Weights, aspects_of


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A merge without one of its members.

    Attributes:
        label: the member that was left out.
        weight: its weight in the whole merge.
        entry: the merge of the others, with weights normalized.
        change: of the fitness, relative to the whole merge; above 0, the member hurts.
        aspects: the same by aspect.
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
        threshold: in units of 1/n: weights of a smaller magnitude became 0.
        num_left: models that are left.
        entry: the merge of those.
        fitness: its fitness.
    """

    threshold: float
    num_left: int
    entry: Entry
    fitness: float


def leave_one_out(evaluate: Evaluator, fitness: Fitness, merged: Entry) -> list[LeftOut]:
    """The merge without each member in turn, the most harmful member first.

    Left out are members whose weight is 0, and those whose others sum to 0 or less.
    """
    labels = evaluate.archive.labels
    tried = [
        (number, _without(merged.vector, [number]))
        for number in range(len(labels))
        if merged.vector[number]
    ]
    asked = [(number, weights) for number, weights in tried if weights is not None]
    entries = evaluate([weights for _, weights in asked], "leave-one-out")
    whole, before = fitness(merged.scores), aspects_of(merged.scores, fitness.aspects)
    rows = []
    for (number, _), entry in zip(asked, entries, strict=True):
        after = aspects_of(entry.scores, fitness.aspects)
        rows.append(
            LeftOut(
                labels[number],
                merged.vector[number],
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
    """The merge with its small weights set to 0 and the others normalized.

    A softmax never gives 0, so whether nearly all members matter has to be shown by pruning.

    Args:
        evaluate: scores candidates.
        fitness: of the merges.
        merged: the whole merge.
        thresholds: in units of 1/n; those that remove nothing or everything are left out.
    """
    num = len(merged.vector)
    asked: list[tuple[float, Weights]] = []
    for threshold in sorted(thresholds):
        small = [
            number for number, weight in enumerate(merged.vector) if abs(weight) < threshold / num
        ]
        weights = _without(merged.vector, small) if small else None
        if weights is not None:
            asked.append((threshold, weights))
    entries = evaluate([weights for _, weights in asked], "pruning")
    return [
        Pruned(threshold, sum(weight != 0 for weight in weights), entry, fitness(entry.scores))
        for (threshold, weights), entry in zip(asked, entries, strict=True)
    ]


def _without(weights: Weights, dropped: Sequence[int]) -> Weights | None:
    """The weights without some members, normalized; None where the rest sums to about 0 or less."""
    left = [0.0 if number in dropped else weight for number, weight in enumerate(weights)]
    total, abs_total = math.fsum(left), math.fsum(map(abs, left))
    if not abs_total or total < 1e-6 * abs_total:
        return None
    return tuple(weight / total for weight in left)
