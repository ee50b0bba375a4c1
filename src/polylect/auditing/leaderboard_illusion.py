"""The two simulations of "The Leaderboard Illusion", section 5, and how to repair or refuse them.

The paper's table of win probabilities is not public. The strengths of the first simulation are
ours, chosen so that they give exactly the rank changes that the paper reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polylect.base import Count, CountOrZero, Finite, UndecidableError, check_settings, generator
from polylect.ranking import (
    ELO_PER_NAT,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    combine_strata,
    fit_bradley_terry,
    fit_strata,
    identify,
)
from polylect.stats import two_sided_z

_ALPHA = 0.05


class Drift(NamedTuple):
    """A Wald test of equal strengths in all strata.

    Attributes:
        statistic: χ².
        degrees_of_freedom: of χ².
        p_value: small if models are better in one stratum than in another.
        models: models that every stratum rates; the test covers these.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float
    models: tuple[str, ...]


def drift_test(strata: Mapping[str, Ratings]) -> Drift:
    """Test whether one ranking fits all strata: tasks, languages, or months.

    Σ (s_k − s̄)' V_k⁺ (s_k − s̄) over the strata's centered strengths, with s̄ their
    precision-weighted mean, is χ² with (K − 1)(M − 1) degrees of freedom if the strengths are the
    same everywhere (Cochran 1954, in matrix form). If they are not, a joint rating depends on how
    many votes each stratum had and on who was in it: stratify before any model is retired.

    Raises:
        UndecidableError: fewer than two strata, or fewer than two models in all of them.
    """
    from scipy.special import chdtrc

    parts = list(strata.values())
    common = sorted(set.intersection(*(set(part.models) for part in parts))) if parts else []
    if len(parts) < 2 or len(common) < 2:
        raise UndecidableError(
            f"{len(parts)} strata with {len(common)} models in all of them cannot be compared",
            "take coarser strata",
        )
    size = len(common)
    strengths, precisions = [], []
    for part in parts:
        places = [part.position(name) for name in common]
        # Differences to the first model have a regular covariance.
        basis = np.zeros((size - 1, len(part.models)))
        basis[np.arange(size - 1), places[1:]] = 1.0
        basis[:, places[0]] -= 1.0
        strengths.append(basis @ part.strength)
        precisions.append(np.linalg.inv(basis @ part.covariance @ basis.T))
    total = np.sum(precisions, axis=0)
    pooled = [p @ s for p, s in zip(precisions, strengths, strict=True)]
    mean = np.linalg.solve(total, np.sum(pooled, axis=0))
    statistic = sum(
        float((s - mean) @ p @ (s - mean)) for p, s in zip(precisions, strengths, strict=True)
    )
    degrees = (len(parts) - 1) * (size - 1)
    return Drift(statistic, degrees, float(chdtrc(degrees, statistic)), tuple(common))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMix:
    """Two phases with different tasks; one model is retired after the first.

    Attributes:
        models: names.
        first, second: ratings in Elo on the tasks of each phase.
        retired: the model that is missing in the second phase.
        votes_per_phase: battles, on pairs drawn uniformly.
    """

    models: tuple[str, ...] = ("A", "B", "C", "D")
    first: tuple[Finite, ...] = (1450.0, 1050.0, 1200.0, 1100.0)
    second: tuple[Finite, ...] = (1000.0, 1350.0, 950.0, 1100.0)
    retired: str = "D"
    votes_per_phase: Count = 1000

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def truth(self) -> tuple[str, ...]:
        """Order by the mean of both phases."""
        mean = np.add(self.first, self.second)
        return tuple(self.models[i] for i in np.argsort(-mean, kind="stable"))


@dataclass(frozen=True, slots=True)
class TaskMixResult:
    """Shares of simulated worlds, and mean centered ratings in Elo by model.

    Attributes:
        truth: order by the mean of both phases.
        with_all, with_retired: the most common pooled order, with the model kept and retired.
        truth_with_all, truth_with_retired: share of worlds in which the pooled order is the truth.
        truth_stratified: share in which, after the retirement, the stratified order of the models
            that both phases rate is their true order.
        unplaced: models to which the stratified fit gives no joint rank.
        warned: share in which ``drift_test`` rejects at 5 %, after the retirement.
        ratings: mean pooled rating by model, without and with the retirement.
    """

    truth: tuple[str, ...]
    with_all: tuple[str, ...]
    with_retired: tuple[str, ...]
    truth_with_all: float
    truth_with_retired: float
    truth_stratified: float
    unplaced: tuple[str, ...]
    warned: float
    ratings: Mapping[str, tuple[float, float]]


def task_mix(world: TaskMix | None = None, num_worlds: int = 400, seed: int = 0) -> TaskMixResult:
    """Simulate changing tasks with a retired model: only the stratified ranking is right.

    Paper: ranks without → with the retirement A 1→2, B 2→1, D 3→4, C 4→3. The repair fits the task
    of each phase on its own and averages at equal shares (direct standardization). How the retired
    model would have done on tasks that it never met is unknown: it gets no joint rank, only one
    within its tasks.
    """
    world = world or TaskMix()
    rng = generator(seed, "task mix")
    names = world.models
    everyone = np.arange(len(names))
    others = np.delete(everyone, names.index(world.retired))
    truth = world.truth
    remaining = tuple(name for name in truth if name != world.retired)
    orders: dict[str, list[tuple[str, ...]]] = {"all": [], "retired": [], "stratified": []}
    sums = np.zeros((2, len(names)))
    warned = 0
    for _ in range(num_worlds):
        first = _battles(rng, names, np.array(world.first), everyone, world.votes_per_phase)
        second = _battles(rng, names, np.array(world.second), everyone, world.votes_per_phase)
        without = _battles(rng, names, np.array(world.second), others, world.votes_per_phase)
        for row, (key, later) in enumerate((("all", second), ("retired", without))):
            fit = fit_bradley_terry(first.merged(later))
            orders[key].append(_order(fit))
            sums[row] += fit.elo
        remaining_counts = without.restricted([names[i] for i in others])
        strata = fit_strata({"first": first, "second": remaining_counts})
        orders["stratified"].append(_order(combine_strata(strata, {"first": 1, "second": 1})))
        warned += drift_test(strata).p_value <= _ALPHA
    means = sums / num_worlds
    return TaskMixResult(
        truth=truth,
        with_all=_most_common(orders["all"]),
        with_retired=_most_common(orders["retired"]),
        truth_with_all=_share(orders["all"], truth),
        truth_with_retired=_share(orders["retired"], truth),
        truth_stratified=_share(orders["stratified"], remaining),
        unplaced=(world.retired,),
        warned=warned / num_worlds,
        ratings={name: (float(means[0, i]), float(means[1, i])) for i, name in enumerate(names)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseGraph:
    """Groups of models with hardly any battles between the groups.

    Attributes:
        ratings: true ratings in Elo by model.
        groups: the models of each group.
        num_votes: number of battles.
        num_bridges: how many of them are between groups.
    """

    ratings: Mapping[str, Finite]
    groups: tuple[tuple[str, ...], ...] = (("A", "C", "E"), ("B", "D", "F", "G"))
    num_votes: Count = 2000
    num_bridges: CountOrZero = 0

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def of_paper(cls, num_bridges: int = 0) -> "SparseGraph":
        """The paper's seven models. The groups are ours, since the paper's are not known."""
        true = (1450.0, 1390.0, 1250.0, 1200.0, 1150.0, 1101.0, 1000.0)
        names = ("A", "B", "C", "D", "F", "E", "G")
        return cls(ratings=dict(zip(names, true, strict=True)), num_bridges=num_bridges)


@dataclass(frozen=True, slots=True)
class SparseGraphResult:
    """Shares of simulated worlds and mean rank correlations with the truth.

    Attributes:
        dense_exact, dense_tau: share with the exact order, and mean Kendall τ, with pairs drawn
            uniformly.
        sparse_exact, sparse_tau: the same on the sparse graph, for the order that a solver prints
            if every component (or the ridge) is centered at the same point.
        refused: share of worlds in which a joint rank is refused.
        within_exact: share in which the order inside every group is right.
        mean_half_width: of the 95 % intervals in Elo, dense and sparse; None if there never is a
            joint rank.
    """

    dense_exact: float
    dense_tau: float
    sparse_exact: float
    sparse_tau: float
    refused: float
    within_exact: float
    mean_half_width: tuple[float, float | None]


def sparse_graph(
    world: SparseGraph | None = None, num_worlds: int = 200, seed: int = 0
) -> SparseGraphResult:
    """Simulate a graph of disconnected groups: the order across them is refused, or made up.

    A solver that does not check connectivity prints an order across the groups anyway.
    """
    world = world or SparseGraph.of_paper()
    rng = generator(seed, "sparse graph", world.num_bridges)
    names = tuple(world.ratings)
    true = np.array([world.ratings[name] for name in names])
    truth = tuple(names[i] for i in np.argsort(-true, kind="stable"))
    group_of = np.array([next(k for k, g in enumerate(world.groups) if n in g) for n in names])
    everyone = np.arange(len(names))
    pairs = _all_pairs(len(names))
    is_inside = group_of[pairs[:, 0]] == group_of[pairs[:, 1]]
    inside, across = pairs[is_inside], pairs[~is_inside]
    dense_orders, sparse_orders, dense_errors, sparse_errors = [], [], [], []
    refused = within = 0
    for _ in range(num_worlds):
        dense = _battles(rng, names, true, everyone, world.num_votes)
        fit = fit_bradley_terry(dense)
        dense_orders.append(_order(fit))
        dense_errors.append(float(fit.standard_error.mean()))
        sparse = _on_pairs(rng, names, true, inside, world.num_votes - world.num_bridges)
        if world.num_bridges:
            bridges = _on_pairs(rng, names, true, across, world.num_bridges)
            sparse = sparse.merged(bridges)
        identified = identify(sparse)
        if identified.is_finite:
            fit = fit_bradley_terry(sparse)
            strength = dict(zip(fit.models, fit.strength, strict=True))
            sparse_errors.append(float(fit.standard_error.mean()))
        else:
            refused += 1
            strength = _separately_centered(sparse, identified.cores)
        order = tuple(sorted(strength, key=lambda name: -strength[name]))
        sparse_orders.append(order)
        within += all(
            tuple(n for n in order if n in g) == tuple(n for n in truth if n in g)
            for g in world.groups
        )
    return SparseGraphResult(
        dense_exact=_share(dense_orders, truth),
        dense_tau=_mean_tau(dense_orders, truth),
        sparse_exact=_share(sparse_orders, truth),
        sparse_tau=_mean_tau(sparse_orders, truth),
        refused=refused / num_worlds,
        within_exact=within / num_worlds,
        mean_half_width=(
            two_sided_z(0.95) * float(np.mean(dense_errors)),
            two_sided_z(0.95) * float(np.mean(sparse_errors)) if sparse_errors else None,
        ),
    )


def _separately_centered(counts: PairCounts, cores: Sequence[tuple[str, ...]]) -> dict[str, float]:
    """Strengths of a solver that ignores connectivity: every component is centered at zero."""
    strength = dict.fromkeys(counts.models, 0.0)
    for core in cores:
        if len(core) >= 2:
            fit = fit_bradley_terry(counts.restricted(core))
            strength.update(zip(fit.models, fit.strength.tolist(), strict=True))
    return strength


def _battles(
    rng: np.random.Generator, names: Sequence[str], elo: FloatArray, models: IntArray, num: int
) -> PairCounts:
    """Simulated battles on uniformly drawn pairs of some of the models."""
    return _on_pairs(rng, names, elo, models[_all_pairs(len(models))], num)


def _all_pairs(size: int) -> IntArray:
    """(P, 2) all unordered pairs."""
    return np.column_stack(np.triu_indices(size, 1))


def _on_pairs(
    rng: np.random.Generator, names: Sequence[str], elo: FloatArray, pairs: IntArray, num: int
) -> PairCounts:
    """Simulated decisive battles on pairs drawn uniformly from ``pairs``."""
    first, second = pairs[rng.integers(0, len(pairs), num)].T
    gap = (elo[first] - elo[second]) / ELO_PER_NAT
    lost = rng.random(num) >= 1.0 / (1.0 + np.exp(-gap))
    return PairCounts.from_cells(names, first, second, lost.astype(np.int64))


def _order(fit: Ratings) -> tuple[str, ...]:
    return tuple(fit.models[i] for i in fit.order)


def _most_common(orders: list[tuple[str, ...]]) -> tuple[str, ...]:
    return max(sorted(set(orders)), key=orders.count)


def _share(orders: list[tuple[str, ...]], truth: tuple[str, ...]) -> float:
    return orders.count(truth) / len(orders)


def _mean_tau(orders: list[tuple[str, ...]], truth: tuple[str, ...]) -> float:
    from scipy.stats import kendalltau

    true_ranks = np.arange(len(truth))
    ranks = [[order.index(name) for name in truth] for order in orders]
    return float(np.mean([kendalltau(true_ranks, row).statistic for row in ranks]))
