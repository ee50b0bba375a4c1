"""CMA-ES over weights, by ask and tell."""

import math
from collections.abc import Sequence

from polylect.base import InputError, generator
from polylect.checkpoints import Floats
from polylect.search._extra import optional
from polylect.search.archive import Entry
from polylect.search.config import CmaConfig
from polylect.search.fitness import Fitness
from polylect.search.weight_map import WeightMap, Weights

_MAX_DRAWS = 1000


class Cma:
    """CMA-ES (Hansen) on one fitness, started from equal weights, by the ``cma`` package.

    Source: "If You Can't Use Them, Recycle Them" (arXiv 2412.04144) searches linear weights this
    way; its population, step size and constraint map could not be read and are choices here.

    It stops after ``num_evaluations``, or by the package's own criteria (a whole generation, or the
    steps, have become nearly equal). It draws from its own generator: neither numpy's global one
    nor the clock matters.
    """

    def __init__(self, space: WeightMap, fitness: Fitness, config: CmaConfig) -> None:
        """Set up the strategy; asks nothing yet.

        Raises:
            PolylectError: the ``cma`` package is not installed.
        """
        population = config.population or 4 + int(3 * math.log(space.num))
        self._space, self._fitness = space, fitness
        self._num_left = config.num_evaluations
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
        self._points: list[Floats] = []

    @property
    def done(self) -> bool:
        """Whether the evaluations are used up, or the search has converged."""
        return self._num_left <= 0 or bool(self._strategy.stop())

    def ask(self) -> list[Weights]:
        """The next generation; points that map to no weights are drawn again.

        Raises:
            InputError: no point maps to weights.
        """
        self._points = []
        candidates: list[Weights] = []
        for _ in range(_MAX_DRAWS):
            (point,) = self._strategy.ask(1)
            weights = self._space.weights(point)
            if weights is not None:
                self._points.append(point)
                candidates.append(weights)
            if len(candidates) == self._population:
                self._num_left -= len(candidates)
                return candidates
        raise InputError(
            "the weights' positive and negative parts keep canceling",
            "use a smaller sigma, or another weight map",
        )

    def tell(self, entries: Sequence[Entry]) -> None:
        """Take the generation's scores."""
        self.tell_fitness([self._fitness(entry.scores) for entry in entries])

    def tell_fitness(self, values: Sequence[float]) -> None:
        """Take the generation's fitness, where it does not come from the archive."""
        self._strategy.tell(self._points, [-value for value in values])
