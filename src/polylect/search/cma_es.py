"""CMA-ES over merge weights, by ask and tell."""

import math
from collections.abc import Sequence
from typing import Any

from polylect.base import InputError, generator
from polylect.search._extra import optional
from polylect.search.archive import Entry
from polylect.search.config import CmaConfig
from polylect.search.fitness import Fitness
from polylect.search.weight_map import WeightMap, Weights

_TRIES = 1000


class Cma:
    """CMA-ES (Hansen) from equal weights, by the ``cma`` package, on one fitness.

    Source: "If You Can't Use Them, Recycle Them" (arXiv 2412.04144) searches linear weights so; its
    population, step size and constraint map could not be read and are choices here.

    It stops after ``num_evaluations``, or when a whole generation and the steps have become as good
    as equal (the package's own criteria). It draws from a generator of its own: neither numpy's
    global one nor the clock has a say.
    """

    def __init__(self, space: WeightMap, fitness: Fitness, config: CmaConfig) -> None:
        """Nothing is asked yet.

        Raises:
            PolylectError: the ``cma`` package is not installed.
        """
        population = config.population or 4 + int(3 * math.log(space.num))
        self._space, self._fitness = space, fitness
        self._left = config.num_evaluations
        random = generator(config.seed, "polylect.search.cma")
        cma = optional("cma")
        self._strategy = cma.CMAEvolutionStrategy(
            space.start,
            config.sigma or space.sigma,
            {
                "popsize": population,
                "randn": lambda *shape: random.standard_normal(shape),
                "maxfevals": math.inf,
                "verbose": -9,
                "verb_log": 0,
                "verb_disp": 0,
                "verb_filenameprefix": "",
            },
        )
        self._population = population
        self._asked: list[Any] = []

    @property
    def done(self) -> bool:
        """Whether the evaluations are used up, or nothing moves any more."""
        return self._left <= 0 or bool(self._strategy.stop())

    def ask(self) -> list[Weights]:
        """A generation; points without weights are drawn again.

        Raises:
            InputError: no point has weights.
        """
        self._asked, found = [], []
        for _ in range(_TRIES):
            (point,) = self._strategy.ask(1)
            weights = self._space.weights(point)
            if weights is not None:
                self._asked.append(point)
                found.append(weights)
            if len(found) == self._population:
                self._left -= len(found)
                return found
        raise InputError("the weights' positive and negative parts keep canceling",
                         "use a smaller sigma, or another weight map")  # fmt: skip

    def tell(self, found: Sequence[Entry]) -> None:
        """The generation's scores."""
        self.tell_fitness([self._fitness(one.scores) for one in found])

    def tell_fitness(self, values: Sequence[float]) -> None:
        """The generation's fitness, where it does not come from the archive."""
        self._strategy.tell(self._asked, [-one for one in values])
