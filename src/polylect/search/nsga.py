"""NSGA-II over merge weights, by ask and tell: a whole front instead of one fitness."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from polylect.base import InputError, derive_seed, generator
from polylect.search._extra import optional
from polylect.search.archive import Entry
from polylect.search.config import AspectsConfig, ParetoConfig
from polylect.search.fitness import aspects_of
from polylect.search.weight_map import WeightMap, Weights


class Nsga2:
    """NSGA-II (Deb et al. 2002), by the ``pymoo`` package, with every aspect an objective.

    It starts from candidates that are known already (the singles, the baselines, what another
    optimizer found), filled up with weights drawn evenly from the simplex. Crossover and mutation
    move points of the weight map's box.
    """

    def __init__(
        self,
        space: WeightMap,
        aspects: AspectsConfig,
        config: ParetoConfig,
        start: Sequence[Entry] = (),
    ) -> None:
        """Nothing is asked yet.

        Args:
            space: the weight map.
            aspects: the objectives.
            config: population and evaluations.
            start: where to begin; the first ``population`` of them, front by front.

        Raises:
            InputError: nothing is known.
            PolylectError: the ``pymoo`` package is not installed.
        """
        self._space, self._aspects, self._left = space, aspects, config.num_evaluations
        nsga2 = optional("pymoo.algorithms.moo.nsga2")
        problem = optional("pymoo.core.problem").Problem
        low, high = space.box
        random = generator(config.seed, "polylect.search.nsga2")
        begin = [one.weights for one in best_first(start, aspects)[: config.population]]
        missing = config.population - len(begin)
        begin += [
            tuple(float(part) for part in one)
            for one in random.dirichlet(np.ones(space.num), missing)
        ]
        points = np.array([np.clip(space.point(one), low, high) for one in begin])
        # A point gives its weights back only nearly; what is known is asked for as it is known.
        self._exact = {point.tobytes(): one for point, one in zip(points, begin, strict=True)}
        self._algorithm = nsga2.NSGA2(pop_size=config.population, sampling=points)
        self._algorithm.setup(
            problem(n_var=space.num, n_obj=max(1, self._num_objectives(start)), xl=low, xu=high),
            termination=optional("pymoo.core.termination").NoTermination(),
            seed=derive_seed(config.seed, "polylect.search.nsga2") % 2**31,
            verbose=False,
        )
        self._asked: Any = None
        self._known: list[int] = []

    @property
    def done(self) -> bool:
        """Whether the evaluations are used up."""
        return self._left <= 0

    def ask(self) -> list[Weights]:
        """A generation; points without weights are left out."""
        self._asked = self._algorithm.ask()
        if self._asked is None or not len(self._asked):  # only copies of what there is
            self._left = 0
            return []
        found: list[Weights] = []
        self._known = []
        for number, point in enumerate(self._asked.get("X")):
            weights = self._exact.get(point.tobytes()) or self._space.weights(point)
            if weights is not None:
                found.append(weights)
                self._known.append(number)
        self._left -= len(self._asked)
        return found

    def tell(self, found: Sequence[Entry]) -> None:
        """The generation's scores."""
        if not len(self._asked):
            return
        num = self._algorithm.problem.n_obj
        values = np.full((len(self._asked), num), 1e30)
        for number, entry in zip(self._known, found, strict=True):
            own = np.array(list(aspects_of(entry.scores, self._aspects).values()))
            values[number] = np.where(np.isfinite(own), -own, 1e30)
        optional("pymoo.core.evaluator").Evaluator().eval(
            optional("pymoo.problems.static").StaticProblem(self._algorithm.problem, F=values),
            self._asked,
        )
        self._algorithm.tell(infills=self._asked)

    def _num_objectives(self, start: Sequence[Entry]) -> int:
        if not start:
            raise InputError("no candidate is known yet", "evaluate the single checkpoints first")
        return len(aspects_of(start[0].scores, self._aspects))


def best_first(entries: Sequence[Entry], aspects: AspectsConfig) -> list[Entry]:
    """Entries front by front (non-dominated first), in their own order within a front."""
    from polylect.search.front import is_on_front

    left = [one for one in entries if _is_whole(one, aspects)]
    found: list[Entry] = []
    while left:
        values = np.array([list(aspects_of(one.scores, aspects).values()) for one in left])
        mask = is_on_front(values)
        found += [one for one, on in zip(left, mask, strict=True) if on]
        left = [one for one, on in zip(left, mask, strict=True) if not on]
    return found


def _is_whole(entry: Entry, aspects: AspectsConfig) -> bool:
    return all(map(math.isfinite, aspects_of(entry.scores, aspects).values()))
