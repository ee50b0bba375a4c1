"""Search on a surrogate: a Gaussian process for every aspect, fitted on the archive."""

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

_LENGTHS = tuple(float(value) for value in np.geomspace(0.05, 5.0, 14))
_NOISES = tuple(float(value) for value in np.geomspace(1e-6, 1.0, 13))
_EVALUATIONS = 1500
_STARTS = 3
_MIN_DISTANCE = 0.02


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process with one length scale, conditioned on observations.

    Attributes:
        points: float [observations, models]: weights.
        length: of the squared-exponential kernel; the most likely on a grid.
        noise: variance of the noise relative to the signal's; likewise.
        loo: float [observations]: leave-one-out prediction of each observation.
    """

    points: Floats
    length: float
    noise: float
    loo: Floats
    _coefficients: Floats
    _mean: float

    @classmethod
    def fit(cls, points: Floats, values: Floats) -> "GaussianProcess":
        """The process of the highest marginal likelihood (Rasmussen and Williams 2006, eq. 5.8).

        The signal's variance has a closed form; length and noise come from a grid.

        Args:
            points: float [observations, models].
            values: float [observations], finite.
        """
        mean = float(values.mean())
        centered = values - mean
        best = (-math.inf, 1.0, 1.0)
        squares = _squared_distances(points, points)
        for length in _LENGTHS:
            roots, vectors = np.linalg.eigh(np.exp(-squares / (2 * length**2)))
            rotated = vectors.T @ centered
            for noise in _NOISES:
                scales = np.maximum(roots, 0) + noise
                signal = max(float((rotated**2 / scales).mean()), 1e-300)
                likelihood = -0.5 * (len(values) * math.log(signal) + float(np.log(scales).sum()))
                if likelihood > best[0]:
                    best = (likelihood, length, noise)
        _, length, noise = best
        kernel = np.exp(-squares / (2 * length**2)) + noise * np.eye(len(values))
        inverse = np.linalg.inv(kernel)
        coefficients = inverse @ centered
        # Leave-one-out predictions in closed form (eq. 5.12).
        loo = values - coefficients / np.diag(inverse)
        return cls(points, length, noise, loo, coefficients, mean)

    def __call__(self, points: Floats) -> Floats:
        """The expected values at float [points, models]."""
        kernel = np.exp(-_squared_distances(points, self.points) / (2 * self.length**2))
        return kernel @ self._coefficients + self._mean


class Surrogate:
    """Rounds of: fit on everything known, search the fit, ask for its best predictions.

    Searching the fit is cheap; its predictions are evaluated before they count, and enter the next
    fit. A batch holds the best predictions that are at least 0.02 (Euclidean distance of weights)
    from each other and from what is known. The idea is MergeMix's (arXiv 2601.17858), which fits
    gradient-boosted trees; a Gaussian process uses that the surface of merges is smooth.
    """

    def __init__(
        self, space: WeightMap, fitness: Fitness, config: SurrogateConfig, known: Sequence[Entry]
    ) -> None:
        """Set up the search; asks nothing yet.

        Args:
            space: the weight map.
            fitness: what is maximized.
            config: rounds and batch size.
            known: evaluated candidates to fit on.

        Raises:
            InputError: fewer than four candidates are known.
        """
        self._space, self._fitness, self._config = space, fitness, config
        self._known = list(known)
        self._round = 0
        if len(self._complete()) < 4:
            raise InputError(
                "a surrogate needs four evaluated candidates or more",
                "run the baselines or another optimizer first",
            )

    @property
    def done(self) -> bool:
        """Whether all rounds are over."""
        return self._round >= self._config.num_rounds

    def ask(self) -> list[Weights]:
        """The candidates with the best predictions."""
        processes = self.fit()
        predicted: dict[Weights, float] = {}
        for start in range(_STARTS):
            seed = derive_seed(self._config.seed, "polylect.search.surrogate", self._round, start)
            inner = Cma(
                self._space,
                self._fitness,
                CmaConfig(num_evaluations=_EVALUATIONS // _STARTS, seed=seed),
            )
            while not inner.done:
                candidates = inner.ask()
                values = self._predict(processes, candidates)
                inner.tell_fitness(values)
                predicted |= dict(zip(candidates, values, strict=True))
        taken = [np.array(entry.vector) for entry in self._known]
        batch: list[Weights] = []
        for weights in sorted(predicted, key=lambda weights: (-predicted[weights], weights)):
            point = np.array(weights)
            if min(float(np.linalg.norm(point - other)) for other in taken) >= _MIN_DISTANCE:
                batch.append(weights)
                taken.append(point)
            if len(batch) == self._config.batch:
                break
        return batch

    def tell(self, entries: Sequence[Entry]) -> None:
        """Take the batch's scores."""
        known = {entry.number for entry in self._known}
        self._known += [entry for entry in entries if entry.number not in known]
        self._round += 1

    def fit(self) -> dict[str, GaussianProcess]:
        """A process for every aspect, fitted on everything known."""
        entries = self._complete()
        points = np.array([entry.vector for entry in entries])
        rows = [aspects_of(entry.scores, self._fitness.aspects) for entry in entries]
        return {
            name: GaussianProcess.fit(points, np.array([row[name] for row in rows]))
            for name in rows[0]
        }

    def left_out(self) -> list[tuple[float, float]]:
        """Leave-one-out prediction and actual fitness of every known candidate."""
        processes = self.fit()
        pairs = []
        for number, entry in enumerate(self._complete()):
            predicted = {name: float(process.loo[number]) for name, process in processes.items()}
            pairs.append((self._fitness.of_aspects(predicted), self._fitness(entry.scores)))
        return pairs

    def _complete(self) -> list[Entry]:
        """The known candidates that have all scores."""
        aspects = self._fitness.aspects
        return [
            entry
            for entry in self._known
            if all(map(math.isfinite, aspects_of(entry.scores, aspects).values()))
        ]

    def _predict(
        self, processes: dict[str, GaussianProcess], candidates: Sequence[Weights]
    ) -> list[float]:
        points = np.array(candidates)
        columns = {name: process(points) for name, process in processes.items()}
        return [
            self._fitness.of_aspects({name: float(column[row]) for name, column in columns.items()})
            for row in range(len(candidates))
        ]


def _squared_distances(left: Floats, right: Floats) -> Floats:
    """Squared Euclidean distances, float [left, right]."""
    return ((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=2)
