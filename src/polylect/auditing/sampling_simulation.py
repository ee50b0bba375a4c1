"""Simulation of a board under a sampling rule: how many votes the rule needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.auditing.registry import Registry
from polylect.auditing.sampling_rules import (
    Rule,
    active_rule,
    best_design,
    fair_rule,
    pair_state,
    rating_rule,
    uniform_rule,
)
from polylect.base import UndecidableError, generator
from polylect.ranking import (
    ELO_PER_NAT,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    fit_bradley_terry,
    tie_probability,
)
from polylect.stats import two_sided_z

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class SamplingRun:
    """A sampling rule, simulated until the mean interval was narrow enough.

    Attributes:
        rule: its name.
        num_votes: votes when the mean width of the 95 % intervals reached the target, by
            interpolation; None if it was not reached within the limit.
        widths: (votes, mean width in Elo) after each batch.
        root_mean_square: error of the ratings at the end, in Elo.
        least_part: by partition, the smallest share of a group over its equal share, over all votes
            after the start.
        gini: Gini coefficient of the votes per model, 0 if all have the same.
    """

    rule: str
    num_votes: float | None
    widths: tuple[tuple[float, float], ...]
    root_mean_square: float
    least_part: Mapping[str, float]
    gini: float


def simulate_sampling(
    strength: FloatArray,
    rule: Rule,
    target_width: float,
    *,
    name: str = "",
    tie_share: float = 0.35,
    partitions: Mapping[str, Sequence[str]] | None = None,
    growth: float = 1.1,
    max_votes: float = 1e7,
    seed: int = 0,
) -> SamplingRun:
    """Number of votes that a rule needs for a mean interval width, by simulation of its board.

    Every pair starts with two votes. Then votes come in batches, each a tenth of the votes so far;
    the rule sees the votes and the ratings fitted to them, never the truth.

    Args:
        strength: (M,) true log-odds.
        rule: the rule to simulate.
        target_width: mean width (upper minus lower) of the 95 % intervals, in Elo.
        name: of the rule, for the result.
        tie_share: mean share of ties; ties are more likely between equals.
        partitions: groups of the models, to report the smallest share.
        growth: factor of the number of votes from batch to batch.
        max_votes: limit at which the simulation stops.
        seed: of the votes.
    """
    rng = generator(seed, "sampling", name)
    size = len(strength)
    names = tuple(f"{i:06}" for i in range(size))
    first, second = np.triu_indices(size, 1)
    win = 1.0 / (1.0 + np.exp(strength[second] - strength[first]))
    tie = tie_probability(win, np.full(len(win), 1.0 / len(win)), tie_share)
    chance = np.column_stack([win - tie / 2.0, 1.0 - win - tie / 2.0, tie, np.zeros_like(tie)])
    chance = np.maximum(chance, 0.0)
    chance /= chance.sum(1, keepdims=True)
    start = np.full(len(first), 2)
    outcomes = rng.multinomial(start, chance).astype(np.float64)
    widths: list[tuple[float, float]] = []
    while True:
        counts = PairCounts(names, first, second, outcomes)
        fit = _fit(counts)
        width = np.inf if fit is None else _mean_width(fit)
        widths.append((counts.num_votes, width))
        if width <= target_width or counts.num_votes >= max_votes:
            break
        probability = rule(pair_state(counts, fit))
        batch = rng.multinomial(int(counts.num_votes * (growth - 1.0)), probability)
        outcomes = outcomes + rng.multinomial(batch, chance)
    centered = strength - strength.mean()
    error = np.inf if fit is None else float(np.sqrt(np.mean((fit.strength - centered) ** 2)))
    later = outcomes.sum(1) - start
    return SamplingRun(
        rule=name,
        num_votes=_crossing(widths, target_width),
        widths=tuple(widths),
        root_mean_square=error * ELO_PER_NAT,
        least_part=least_parts(first, second, later, size, partitions or {}),
        gini=gini(counts.battles),
    )


@dataclass(frozen=True, slots=True)
class SamplingComparison:
    """Votes that several rules need for the same mean interval width.

    Attributes:
        width: mean width of the 95 % intervals, in Elo.
        least_share: share of uniform sampling's votes that no rule can go below (without ties).
        runs: one per rule.
    """

    width: float
    least_share: float
    runs: tuple[SamplingRun, ...]


def compare_sampling_rules(
    counts: PairCounts,
    width: float,
    registry: Registry | None = None,
    floor: float = 0.9,
    seed: int = 0,
) -> SamplingComparison:
    """Compare uniform, recorded and active sampling, simulated on the strengths of real votes.

    Args:
        counts: votes whose strengths are all finite.
        width: mean width of the 95 % intervals to reach, in Elo.
        registry: adds fair variants of the rules, by its providers and licenses.
        floor: of the fair variants, the smallest share of a group over its equal share.
        seed: of the votes.
    """
    strength = fit_bradley_terry(counts).strength
    shares = counts.shares()
    recorded = pair_state(counts).votes / counts.num_votes
    rules: dict[str, Rule] = {
        "uniform": uniform_rule,
        "recorded shares": lambda _: recorded,
        "active (win matrix)": active_rule,
        "active (ratings)": rating_rule,
    }
    partitions: dict[str, list[str]] = {}
    if registry is not None:
        kinds = ("provider", "license")
        partitions = {kind: registry.group(kind, counts.models) for kind in kinds}
        fair = {
            f"{name}, fair {floor:g}": fair_rule(rule, partitions, floor)
            for name, rule in rules.items()
            if name != "uniform"
        }
        rules |= fair
    runs = tuple(
        simulate_sampling(
            strength,
            rule,
            width,
            name=name,
            tie_share=shares["tie"] + shares["both_bad"],
            partitions=partitions,
            seed=seed,
        )
        for name, rule in rules.items()
    )
    return SamplingComparison(width, best_design(strength)[1], runs)


def least_parts(
    first: IntArray,
    second: IntArray,
    votes: FloatArray,
    num_models: int,
    partitions: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """By partition, the smallest share of a group over its equal share."""
    seats = np.bincount(first, votes, num_models) + np.bincount(second, votes, num_models)
    parts = {}
    for title, labels in partitions.items():
        groups, group_of, sizes = np.unique(
            np.array(labels, dtype=str), return_inverse=True, return_counts=True
        )
        share = np.bincount(group_of, seats, len(groups)) / max(float(seats.sum()), 1.0)
        parts[title] = float((share / (sizes / num_models)).min())
    return parts


def gini(values: FloatArray) -> float:
    """Gini coefficient: half the mean absolute difference over the mean; 0 if all are equal.

    >>> import numpy as np
    >>> gini(np.array([0.0, 0.0, 0.0, 1.0]))
    0.75
    """
    ordered = np.sort(values)
    total = float(ordered.sum())
    if not total:
        return 0.0
    num = len(ordered)
    return float((2.0 * np.arange(1, num + 1) - num - 1.0) @ ordered) / (num * total)


def _fit(counts: PairCounts) -> Ratings | None:
    try:
        return fit_bradley_terry(counts)
    except UndecidableError:
        return None


def _mean_width(fit: Ratings) -> float:
    return 2.0 * two_sided_z(_LEVEL) * float(fit.standard_error.mean())


def _crossing(widths: Sequence[tuple[float, float]], target: float) -> float | None:
    """Votes at which the width reached the target, by a power law between two batches."""
    if widths[-1][1] > target:
        return None
    if len(widths) == 1 or not np.isfinite(widths[-2][1]):
        return widths[-1][0]
    (low, wide), (high, narrow) = widths[-2:]
    share = np.log(wide / target) / np.log(wide / narrow)
    return float(low * (high / low) ** share)
