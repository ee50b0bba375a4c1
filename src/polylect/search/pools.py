"""Whether more checkpoints help: the same search on drawn parts of the pool."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from polylect.base import generator
from polylect.search.analyses import best_entry
from polylect.search.archive import Entry
from polylect.search.baseline_weights import singles
from polylect.search.cma_es import Cma
from polylect.search.config import CmaConfig, PoolsConfig
from polylect.search.evaluator import Evaluator, run_optimizer
from polylect.search.fitness import Fitness
from polylect.search.weight_map import WeightMap, Weights, equal_weights

POOLS = "pools"


@dataclass(frozen=True, slots=True)
class PartOfPool:
    """A search on some of the checkpoints.

    Attributes:
        members: labels, in the order of the models.
        single: fitness of the best single checkpoint among them.
        uniform: fitness of their uniform merge.
        best: the fittest merge of them that was found, the uniform and the singles among them.
        fitness: of the best.
    """

    members: tuple[str, ...]
    single: float
    uniform: float
    best: Entry
    fitness: float


class OfMembers:
    """CMA-ES that moves the weights of some models; the others' are 0."""

    def __init__(
        self, kind: str, members: Sequence[int], num: int, fitness: Fitness, config: CmaConfig
    ) -> None:
        """Nothing is asked yet.

        Args:
            kind: name of the weight map.
            members: places of the models that take part.
            num: models of the whole pool.
            fitness: what is searched for.
            config: of CMA-ES.
        """
        self._inner = Cma(WeightMap(kind, len(members)), fitness, config)
        self._members, self._num = tuple(members), num

    @property
    def done(self) -> bool:
        """Whether it has no more questions."""
        return self._inner.done

    def ask(self) -> list[Weights]:
        """A generation, as weights of the whole pool."""
        return [self._spread(one) for one in self._inner.ask()]

    def tell(self, found: Sequence[Entry]) -> None:
        """The generation's scores."""
        self._inner.tell(found)

    def _spread(self, weights: Weights) -> Weights:
        own = dict(zip(self._members, weights, strict=True))
        return tuple(own.get(one, 0.0) for one in range(self._num))


def draw_pools(num: int, config: PoolsConfig) -> list[tuple[int, ...]]:
    """The parts of the pool: ``num_draws`` of every size below ``num``, places in order.

    Within a draw a larger part holds the smaller ones, so that what changes is the size and not the
    luck of the draw. Sizes below 2 are left out; a part that comes up twice is there once.
    """
    found: dict[tuple[int, ...], None] = {}
    sizes = [one for one in sorted(set(config.sizes)) if 2 <= one < num]
    for number in range(config.num_draws):
        order = generator(config.seed, "polylect.search.pools", number).permutation(num)
        for size in sizes:
            found[tuple(sorted(int(one) for one in order[:size]))] = None
    return sorted(found, key=len)


def search_pools(
    evaluate: Evaluator, fitness: Fitness, kind: str, config: PoolsConfig
) -> list[PartOfPool]:
    """The search on every drawn part of the pool, the smallest parts first.

    Source: the pool-size ablation of "If You Can't Use Them, Recycle Them" (arXiv 2412.04144); how
    it drew its parts could not be read, and is a choice here.

    Args:
        evaluate: scores candidates.
        fitness: what is searched for; a scale in it stays that of the whole pool.
        kind: name of the weight map.
        config: sizes, draws and budget of each.
    """
    alone = list(singles(evaluate).values())
    labels = evaluate.archive.labels
    found = []
    for number, members in enumerate(draw_pools(len(labels), config)):
        (even,) = evaluate([equal_weights(members, len(labels))], POOLS)
        cma = CmaConfig(num_evaluations=config.num_evaluations, seed=config.seed + number)
        inner = OfMembers(kind, members, len(labels), fitness, replace(cma, sigma=config.sigma))
        asked = run_optimizer(inner, evaluate, POOLS)
        own = [alone[one] for one in members]
        best = best_entry([*own, even, *asked], fitness)
        found.append(
            PartOfPool(
                tuple(labels[one] for one in members),
                max(fitness(one.scores) for one in own),
                fitness(even.scores),
                best,
                fitness(best.scores),
            )
        )
    return found
