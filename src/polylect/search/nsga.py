"""NSGA-II over weights, by ask and tell: a Pareto front instead of one fitness."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from polylect.base import InputError, derive_seed, generator
from polylect.search._extra import optional
from polylect.search.archive import Entry
from polylect.search.config import AspectsConfig, ParetoConfig
from polylect.search.fitness import aspects_of
from polylect.search.front import is_on_front
from polylect.search.weight_map import WeightMap, Weights

_NO_SCORE = 1e30  # minimized, so worse than any score


class Nsga2:
    """NSGA-II (Deb et al. 2002) with every aspect an objective, by the ``pymoo`` package.

    The first generation is what is known already (singles, baselines, what another optimizer asked
    for), filled up with weights drawn uniformly from the simplex. Crossover and mutation act on
    points of the weight map's box.
    """

    def __init__(
        self,
        space: WeightMap,
        aspects: AspectsConfig,
        config: ParetoConfig,
        start: Sequence[Entry] = (),
    ) -> None:
        """Set up the algorithm; asks nothing yet.

        Args:
            space: the weight map.
            aspects: the objectives.
            config: population and evaluations.
            start: candidates to begin with; the first ``population`` of them, front by front.

        Raises:
            InputError: ``start`` is empty.
            PolylectError: the ``pymoo`` package is not installed.
        """
        if not start:
            raise InputError("no candidate is known yet", "evaluate the single checkpoints first")
        self._space, self._aspects, self._num_left = space, aspects, config.num_evaluations
        nsga2 = optional("pymoo.algorithms.moo.nsga2")
        problem = optional("pymoo.core.problem").Problem
        low, high = space.box
        random = generator(config.seed, "polylect.search.nsga2")
        first = [entry.vector for entry in _front_by_front(start, aspects)[: config.population]]
        first += [
            tuple(float(weight) for weight in weights)
            for weights in random.dirichlet(np.ones(space.num), config.population - len(first))
        ]
        points = np.array([np.clip(space.point(weights), low, high) for weights in first])
        # Mapping weights to a point and back is not exact; known weights must be asked for exactly.
        self._exact = {
            point.tobytes(): weights for point, weights in zip(points, first, strict=True)
        }
        self._algorithm = nsga2.NSGA2(pop_size=config.population, sampling=points)
        num_objectives = max(1, len(aspects_of(start[0].scores, aspects)))
        self._algorithm.setup(
            problem(n_var=space.num, n_obj=num_objectives, xl=low, xu=high),
            termination=optional("pymoo.core.termination").NoTermination(),
            seed=derive_seed(config.seed, "polylect.search.nsga2") % 2**31,
            verbose=False,
        )
        self._population: Any = None  # pymoo's, as it was asked for last
        self._asked: list[int] = []  # its members that map to weights

    @property
    def done(self) -> bool:
        """Whether the evaluations are used up."""
        return self._num_left <= 0

    def ask(self) -> list[Weights]:
        """The next generation; points that map to no weights are left out."""
        self._population = self._algorithm.ask()
        if self._population is None or not len(self._population):  # nothing but copies
            self._num_left = 0
            return []
        candidates: list[Weights] = []
        self._asked = []
        for number, point in enumerate(self._population.get("X")):
            weights = self._exact.get(point.tobytes()) or self._space.weights(point)
            if weights is not None:
                candidates.append(weights)
                self._asked.append(number)
        self._num_left -= len(self._population)
        return candidates

    def tell(self, entries: Sequence[Entry]) -> None:
        """Take the generation's scores."""
        if not len(self._population):
            return
        losses = np.full((len(self._population), self._algorithm.problem.n_obj), _NO_SCORE)
        for number, entry in zip(self._asked, entries, strict=True):
            aspects = np.array(list(aspects_of(entry.scores, self._aspects).values()))
            losses[number] = np.where(np.isfinite(aspects), -aspects, _NO_SCORE)
        optional("pymoo.core.evaluator").Evaluator().eval(
            optional("pymoo.problems.static").StaticProblem(self._algorithm.problem, F=losses),
            self._population,
        )
        self._algorithm.tell(infills=self._population)


def _front_by_front(entries: Sequence[Entry], aspects: AspectsConfig) -> list[Entry]:
    """Entries sorted by non-domination, in their own order within a front."""
    scored = [(entry, list(aspects_of(entry.scores, aspects).values())) for entry in entries]
    left = [(entry, values) for entry, values in scored if all(map(math.isfinite, values))]
    ordered: list[Entry] = []
    while left:
        mask = is_on_front(np.array([values for _, values in left]))
        ordered += [entry for (entry, _), on in zip(left, mask, strict=True) if on]
        left = [pair for pair, on in zip(left, mask, strict=True) if not on]
    return ordered
