"""What a searched merge has to beat: singles, uniform, merge-best, greedy soup, top-k."""

from collections.abc import Sequence

from polylect.search import Entry, Evaluator, Fitness, aspects_of, equal_weights

BASELINES = "baselines"
"""The stage that asks for them."""

SINGLE = "single:"
"""Prefix of a single checkpoint's name."""


def singles(evaluate: Evaluator) -> dict[str, Entry]:
    """Every checkpoint alone, by ``single:LABEL``, in the order of the models."""
    labels = evaluate.archive.labels
    alone = [equal_weights([number], len(labels)) for number in range(len(labels))]
    entries = evaluate(alone, BASELINES)
    return {SINGLE + label: entry for label, entry in zip(labels, entries, strict=True)}


def baselines(
    evaluate: Evaluator, fitness: Fitness, top: Sequence[int] = (2, 4, 8)
) -> dict[str, Entry]:
    """All baselines by name: singles, ``uniform``, ``merge-best``, ``greedy`` and ``top-K``.

    merge-best is uniform over the checkpoints that are best in some aspect. The greedy soup
    (Wortsman et al. 2022, recipe 1) adds the checkpoints from the fittest down and keeps one if the
    uniform merge with it is at least as fit. top-K is uniform over the K fittest. Ties go to the
    first model.

    Args:
        evaluate: scores candidates.
        fitness: ranks them.
        top: values of K; those of all models or more are left out.
    """
    named = singles(evaluate)
    alone = list(named.values())
    num = len(alone)
    values = [fitness(entry.scores) for entry in alone]
    order = sorted(range(num), key=lambda number: -values[number])

    def merge(members: Sequence[int]) -> Entry:
        (entry,) = evaluate([equal_weights(members, num)], BASELINES)
        return entry

    named["uniform"] = merge(range(num))
    named["merge-best"] = merge(
        _best_members([aspects_of(entry.scores, fitness.aspects) for entry in alone])
    )
    members, soup = [order[0]], alone[order[0]]
    for number in order[1:]:
        entry = merge([*members, number])
        if fitness(entry.scores) >= fitness(soup.scores):
            members, soup = [*members, number], entry
    named["greedy"] = soup
    for size in sorted(set(top)):
        if 1 < size < num:
            named[f"top-{size}"] = merge(order[:size])
    return named


def _best_members(rows: Sequence[dict[str, float]]) -> list[int]:
    """The models that are best in some aspect; ties go to the first."""
    winners = set()
    for aspect in rows[0]:
        column = [row[aspect] for row in rows]
        known = [number for number, value in enumerate(column) if value == value]
        if known:
            winners.add(max(known, key=lambda number: (column[number], -number)))
    return sorted(winners) or [0]
