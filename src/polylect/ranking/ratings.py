"""Fitted strengths with their covariance: the result of every fit."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylect.base import digest_of
from polylect.ranking.counts import FloatArray, IntArray, model_position
from polylect.stats import two_sided_z

ELO_PER_NAT = 400.0 / math.log(10.0)
"""Elo points per unit of log-odds: P(A beats B) = 1 / (1 + 10^((B − A)/400))."""
CENTER = 1000.0
"""Mean rating of a board without an anchor."""
EQUAL = 1e-9
"""Strengths that differ by less, in log-odds, are equal: it is the rounding of the fit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A coefficient fitted with the strengths: of a tie, or of a style feature.

    Attributes:
        name: of the outcome or feature.
        value: in log-odds.
        standard_error: by the same covariance as the strengths.
    """

    name: str
    value: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Rating differences to one named model, in Elo points.

    Attributes:
        model: the model that is subtracted.
        difference, standard_error, lower, upper: (M,), in the order of ``Ratings.models``; zeros
            for the model itself.
    """

    model: str
    difference: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, eq=False)
class Ratings:
    """Strengths of models on one scale.

    Attributes:
        models: (M,) names, in the order of the counts that were fitted.
        strength: (M,) log-odds; their mean is zero.
        covariance: (M, M) of the centered strengths, so rows sum to zero; sandwich by default.
        bread: (M, M) pseudo-inverse of the information of the strengths.
        battles: (M,) votes per model.
        method: the model and every option that changes the estimand, in words.
        gradient_norm: Euclidean norm of the gradient of the mean log-likelihood per vote.
        num_iterations: Newton steps taken.
        stratum: the part of the votes; empty for all votes.
        interval: kind of interval: sandwich, sandwich clustered by a column, posterior, bootstrap.
        level: of the intervals.
        parameters: coefficients fitted with the strengths.
        samples: (B, M) bootstrap strengths, centered, or None.
    """

    models: tuple[str, ...]
    strength: FloatArray
    covariance: FloatArray
    bread: FloatArray
    battles: FloatArray
    method: str
    gradient_norm: float
    num_iterations: int = 0
    stratum: str = ""
    interval: str = "sandwich"
    level: float = 0.95
    parameters: tuple[Parameter, ...] = ()
    samples: FloatArray | None = None

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each model."""
        return {name: i for i, name in enumerate(self.models)}

    def position(self, model: str) -> int:
        """Index of a model.

        Raises:
            InputError: it is not rated here; names the nearest.
        """
        return model_position(self.index, model)

    @property
    def elo(self) -> FloatArray:
        """(M,) centered ratings in Elo points."""
        return self.strength * ELO_PER_NAT

    @cached_property
    def rank(self) -> IntArray:
        """(M,) 1 + number of models that are better; equal strengths have the same rank."""
        down = np.argsort(-self.strength, kind="stable")
        step = np.diff(self.strength[down], prepend=self.strength[down][:1])
        first = np.maximum.accumulate(np.where(step < -EQUAL, np.arange(len(down)), 0))
        rank = np.empty(len(down), np.int64)
        rank[down] = 1 + first
        return rank

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Positions, best first; equal strengths in order of names."""
        return tuple(sorted(range(len(self.models)), key=lambda i: (self.rank[i], i)))

    @cached_property
    def standard_error(self) -> FloatArray:
        """(M,) of the centered ratings, in Elo points."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0)) * ELO_PER_NAT

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper limits of the centered ratings at ``level``, each (M,), in Elo points."""
        if self.samples is not None:
            return self._percentiles(self.samples)
        half = two_sided_z(self.level) * self.standard_error
        return self.elo - half, self.elo + half

    def contrast(self, model: str) -> Contrast:
        """Differences to a named model, with intervals of the difference itself.

        Raises:
            InputError: the model is not rated here.
        """
        base = self.position(model)
        difference = (self.strength - self.strength[base]) * ELO_PER_NAT
        error = self.difference_error[:, base]
        if self.samples is not None:
            lower, upper = self._percentiles(self.samples - self.samples[:, [base]])
        else:
            half = two_sided_z(self.level) * error
            lower, upper = difference - half, difference + half
        return Contrast(model, difference, error, lower, upper)

    @cached_property
    def difference_error(self) -> FloatArray:
        """(M, M) standard error of every difference of two ratings, in Elo points."""
        variance = np.diag(self.covariance)
        squared = variance[:, None] + variance[None, :] - 2.0 * self.covariance
        return np.sqrt(np.maximum(squared, 0.0)) * ELO_PER_NAT

    def shift(self, anchor: tuple[str, float] | None) -> float:
        """Constant that is added to the centered Elo ratings for display; the anchor sets it.

        Raises:
            InputError: the anchor is not rated here.
        """
        if anchor is None:
            return CENTER
        return anchor[1] - float(self.elo[self.position(anchor[0])])

    @cached_property
    def digest(self) -> str:
        """Digest of models, strengths, covariance and method."""
        return digest_of(
            [
                self.models,
                self.strength.tolist(),
                self.covariance.tolist(),
                self.method,
                self.interval,
                self.stratum,
            ]
        )

    def with_stratum(self, stratum: str) -> "Ratings":
        """The same ratings, labeled with their stratum."""
        return replace(self, stratum=stratum)

    def _percentiles(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        tail = 50.0 * (1.0 - self.level)
        lower, upper = np.percentile(samples, [tail, 100.0 - tail], axis=0) * ELO_PER_NAT
        return lower, upper
