"""What a searched merge has to beat: singles, uniform, merge-best, greedy soup, top-k."""

from collections.abc import Sequence

from polylect.search.archive import Entry
from polylect.search.evaluator import Evaluator
from polylect.search.fitness import Fitness, aspects_of
from polylect.search.weight_map import equal_weights

BASELINES = "baselines"
"""The stage that asks for them."""

SINGLE = "single:"
"""What the name of a single checkpoint begins with."""


def singles(evaluate: Evaluator) -> dict[str, Entry]:
    """Every checkpoint alone, by ``single:LABEL``, in the order of the models."""
    labels = evaluate.archive.labels
    found = evaluate([equal_weights([one], len(labels)) for one in range(len(labels))], BASELINES)
    return {SINGLE + label: entry for label, entry in zip(labels, found, strict=True)}


def baselines(
    evaluate: Evaluator, fitness: Fitness, top: Sequence[int] = (2, 4, 8)
) -> dict[str, Entry]:
    """All baselines by name: singles, ``uniform``, ``merge-best``, ``greedy`` and ``top-K``.

    merge-best is uniform over the winners of the aspects. The greedy soup (Wortsman et al. 2022,
    recipe 1) goes through the checkpoints from the fittest down and keeps one if the uniform merge
    with it is at least as fit. top-K is uniform over the K fittest. Equals go in the order of the
    models.

    Args:
        evaluate: scores candidates.
        fitness: ranks them.
        top: the Ks; those of all models or more are left out.
    """
    found = singles(evaluate)
    alone = list(found.values())
    num = len(alone)
    values = [fitness(one.scores) for one in alone]
    order = sorted(range(num), key=lambda one: -values[one])
    (found["uniform"],) = evaluate([equal_weights(range(num), num)], BASELINES)
    winners = best_members([aspects_of(one.scores, fitness.aspects) for one in alone])
    (found["merge-best"],) = evaluate([equal_weights(winners, num)], BASELINES)
    found["greedy"] = _greedy(evaluate, fitness, order, alone)
    for size in sorted(set(top)):
        if 1 < size < num:
            (found[f"top-{size}"],) = evaluate([equal_weights(order[:size], num)], BASELINES)
    return found


def best_members(values: Sequence[dict[str, float]]) -> list[int]:
    """Who is best in some aspect; of equals the first."""
    winners = set()
    for aspect in values[0]:
        column = [one[aspect] for one in values]
        known = [one for one in range(len(column)) if column[one] == column[one]]
        if known:
            winners.add(max(known, key=lambda one: (column[one], -one)))
    return sorted(winners) or [0]


def _greedy(
    evaluate: Evaluator, fitness: Fitness, order: Sequence[int], alone: Sequence[Entry]
) -> Entry:
    members, best = [order[0]], alone[order[0]]
    for one in order[1:]:
        weights = equal_weights([*members, one], len(alone))
        (tried,) = evaluate([weights], BASELINES)
        if fitness(tried.scores) >= fitness(best.scores):
            members, best = [*members, one], tried
    return best
