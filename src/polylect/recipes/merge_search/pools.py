"""Whether more checkpoints help: the same search on random subsets of the pool."""

from collections.abc import Sequence
from dataclasses import dataclass

from polylect.base import Count, CountOrZero, Positive, Seed, check_settings, generator
from polylect.recipes.merge_search.baselines import singles
from polylect.search import (
    Cma,
    CmaConfig,
    Entry,
    Evaluator,
    Fitness,
    WeightMap,
    Weights,
    best_entry,
    equal_weights,
    run_optimizer,
)

_STAGE = "pools"


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolsConfig:
    """The search again on subsets of the pool.

    Attributes:
        sizes: checkpoints of a subset; sizes of the whole pool or more are left out.
        num_draws: subsets of each size.
        num_evaluations: candidates that CMA-ES evaluates for each subset.
        sigma: its first step size; None: the weight map's default.
        seed: seed of the draws.
    """

    sizes: tuple[CountOrZero, ...] = (2, 4, 8)
    num_draws: CountOrZero = 2
    num_evaluations: Count = 40
    sigma: Positive | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class PartOfPool:
    """The result of a search on some of the checkpoints.

    Attributes:
        members: labels, in the order of the models.
        single: fitness of the best single checkpoint among them.
        uniform: fitness of their uniform merge.
        best: the fittest merge of them, the uniform one and the singles included.
        fitness: of the best.
    """

    members: tuple[str, ...]
    single: float
    uniform: float
    best: Entry
    fitness: float


class _CmaOfMembers:
    """CMA-ES over the weights of some models of a pool; the others' are 0."""

    def __init__(self, inner: Cma, members: Sequence[int], num: int) -> None:
        self._inner, self._members, self._num = inner, tuple(members), num

    @property
    def done(self) -> bool:
        return self._inner.done

    def ask(self) -> list[Weights]:
        return [self._of_pool(weights) for weights in self._inner.ask()]

    def tell(self, entries: Sequence[Entry]) -> None:
        self._inner.tell(entries)

    def _of_pool(self, weights: Weights) -> Weights:
        by_number = dict(zip(self._members, weights, strict=True))
        return tuple(by_number.get(number, 0.0) for number in range(self._num))


def draw_pools(num: int, config: PoolsConfig) -> list[tuple[int, ...]]:
    """Subsets of a pool of ``num`` checkpoints, ``num_draws`` of every size below ``num``.

    Within a draw a larger subset contains the smaller ones, so that only the size changes and not
    the luck of the draw. Sizes below 2 are left out; a subset that is drawn twice is listed once.
    """
    subsets: dict[tuple[int, ...], None] = {}
    sizes = [size for size in sorted(set(config.sizes)) if 2 <= size < num]
    for number in range(config.num_draws):
        order = generator(config.seed, "polylect.search.pools", number).permutation(num)
        for size in sizes:
            subsets[tuple(sorted(int(member) for member in order[:size]))] = None
    return sorted(subsets, key=len)


def search_pools(
    evaluate: Evaluator, fitness: Fitness, map_name: str, config: PoolsConfig
) -> list[PartOfPool]:
    """The search on every drawn subset of the pool, the smallest subsets first.

    Source: the pool-size ablation of "If You Can't Use Them, Recycle Them" (arXiv 2412.04144); how
    its subsets were drawn could not be read, and is a choice here.

    Args:
        evaluate: scores candidates.
        fitness: what is maximized; its scale, if any, stays that of the whole pool.
        map_name: name of the weight map.
        config: sizes, draws and evaluations of each.
    """
    all_singles = list(singles(evaluate).values())
    labels = evaluate.archive.labels
    parts = []
    for number, members in enumerate(draw_pools(len(labels), config)):
        (uniform,) = evaluate([equal_weights(members, len(labels))], _STAGE)
        cma = Cma(
            WeightMap(map_name, len(members)),
            fitness,
            CmaConfig(
                num_evaluations=config.num_evaluations,
                seed=config.seed + number,
                sigma=config.sigma,
            ),
        )
        asked = run_optimizer(_CmaOfMembers(cma, members, len(labels)), evaluate, _STAGE)
        alone = [all_singles[member] for member in members]
        best = best_entry([*alone, uniform, *asked], fitness)
        parts.append(
            PartOfPool(
                tuple(labels[member] for member in members),
                max(fitness(entry.scores) for entry in alone),
                fitness(uniform.scores),
                best,
                fitness(best.scores),
            )
        )
    return parts
