"""Search on a model of the scores: a Gaussian process for every aspect, fitted on the archive."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, derive_seed
from polylect.checkpoints import Floats
from polylect.search.archive import Entry
from polylect.search.cma_es import Cma
from polylect.search.config import CmaConfig, SurrogateConfig
from polylect.search.fitness import Fitness, aspects_of
from polylect.search.weight_map import WeightMap, Weights

_LENGTHS = tuple(float(one) for one in np.geomspace(0.05, 5.0, 14))
_NOISES = tuple(float(one) for one in np.geomspace(1e-6, 1.0, 13))
_EVALUATIONS = 1500
_STARTS = 3
_LEAST_DISTANCE = 0.02


@dataclass(frozen=True)
class Process:
    """A Gaussian process with one length scale, conditioned on what was seen.

    Attributes:
        points: float [seen, models]: weights.
        length: of the squared-exponential kernel; of highest likelihood on a grid.
        noise: variance of the noise as a part of that of the signal; likewise.
        loo: float [seen]: what it says of every point that was seen when it is left out.
    """

    points: Floats
    length: float
    noise: float
    loo: Floats
    _coefficients: Floats
    _mean: float

    @classmethod
    def fit(cls, points: Floats, values: Floats) -> "Process":
        """The process of the highest marginal likelihood (Rasmussen and Williams 2006, eq. 5.8).

        The signal's variance has its closed form; length and noise come from a grid.

        Args:
            points: float [seen, models].
            values: float [seen], finite.
        """
        mean = float(values.mean())
        centered = values - mean
        best = (-math.inf, 1.0, 1.0)
        squares = _squares(points, points)
        for length in _LENGTHS:
            roots, vectors = np.linalg.eigh(np.exp(-squares / (2 * length**2)))
            turned = vectors.T @ centered
            for noise in _NOISES:
                scales = np.maximum(roots, 0) + noise
                signal = max(float((turned**2 / scales).mean()), 1e-300)
                likelihood = -0.5 * (len(values) * math.log(signal) + float(np.log(scales).sum()))
                if likelihood > best[0]:
                    best = (likelihood, length, noise)
        _, length, noise = best
        kernel = np.exp(-squares / (2 * length**2)) + noise * np.eye(len(values))
        inverse = np.linalg.inv(kernel)
        coefficients = inverse @ centered
        # Left-one-out predictions in closed form (eq. 5.12).
        loo = values - coefficients / np.diag(inverse)
        return cls(points, length, noise, loo, coefficients, mean)

    def __call__(self, points: Floats) -> Floats:
        """The expected values at float [points, models]."""
        kernel = np.exp(-_squares(points, self.points) / (2 * self.length**2))
        return kernel @ self._coefficients + self._mean


class Surrogate:
    """Rounds of: fit on all that is known, search the fit, ask for the best that it promises.

    The search of a fit costs nothing; what it promises is evaluated before it counts, and is known
    to the next fit. A batch holds the best promises that lie apart from each other and from what is
    known (0.02 in the Euclidean distance of weights). The idea is MergeMix's (arXiv 2601.17858),
    which fits gradient-boosted trees; the surface of merges is smooth, which a Gaussian process
    uses.
    """

    def __init__(
        self, space: WeightMap, fitness: Fitness, config: SurrogateConfig, known: Sequence[Entry]
    ) -> None:
        """Nothing is asked yet.

        Args:
            space: the weight map.
            fitness: what is searched for.
            config: rounds and batch.
            known: evaluated candidates to fit on.

        Raises:
            InputError: fewer than four candidates are known.
        """
        self._space, self._fitness, self._config = space, fitness, config
        self._known = list(known)
        self._round = 0
        if len(self._whole()) < 4:
            raise InputError("a surrogate needs four evaluated candidates or more",
                             "run the baselines or another optimizer first")  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether all rounds are over."""
        return self._round >= self._config.num_rounds

    def ask(self) -> list[Weights]:
        """The most promising candidates."""
        fitted = self.fit()
        promises: dict[Weights, float] = {}
        for start in range(_STARTS):
            seed = derive_seed(self._config.seed, "polylect.search.surrogate", self._round, start)
            inner = Cma(
                self._space,
                self._fitness,
                CmaConfig(num_evaluations=_EVALUATIONS // _STARTS, seed=seed),
            )
            while not inner.done:
                asked = inner.ask()
                values = self._promise(fitted, asked)
                inner.tell_fitness(values)
                promises |= dict(zip(asked, values, strict=True))
        taken = [np.array(one.weights) for one in self._known]
        found: list[Weights] = []
        for weights in sorted(promises, key=lambda one: (-promises[one], one)):
            place = np.array(weights)
            if min(float(np.linalg.norm(place - one)) for one in taken) >= _LEAST_DISTANCE:
                found.append(weights)
                taken.append(place)
            if len(found) == self._config.batch:
                break
        return found

    def tell(self, found: Sequence[Entry]) -> None:
        """The batch's scores."""
        numbers = {one.number for one in self._known}
        self._known += [one for one in found if one.number not in numbers]
        self._round += 1

    def fit(self) -> dict[str, Process]:
        """A process for every aspect, on all that is known."""
        whole = self._whole()
        points = np.array([one.weights for one in whole])
        values = [aspects_of(one.scores, self._fitness.aspects) for one in whole]
        return {
            name: Process.fit(points, np.array([one[name] for one in values])) for name in values[0]
        }

    def left_out(self) -> list[tuple[float, float]]:
        """Fitness as the fit says it of every known candidate left out, and as it was."""
        fitted = self.fit()
        pairs = []
        for number, one in enumerate(self._whole()):
            said = {name: float(process.loo[number]) for name, process in fitted.items()}
            pairs.append((self._fitness.of_aspects(said), self._fitness(one.scores)))
        return pairs

    def _whole(self) -> list[Entry]:
        """What is known and has all scores."""
        return [
            one
            for one in self._known
            if all(map(math.isfinite, aspects_of(one.scores, self._fitness.aspects).values()))
        ]

    def _promise(self, fitted: dict[str, Process], asked: Sequence[Weights]) -> list[float]:
        points = np.array(asked)
        columns = {name: process(points) for name, process in fitted.items()}
        return [
            self._fitness.of_aspects({name: float(one[row]) for name, one in columns.items()})
            for row in range(len(asked))
        ]


def _squares(left: Floats, right: Floats) -> Floats:
    """Squared distances float [left, right]."""
    return ((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=2)
