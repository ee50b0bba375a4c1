"""Laws of mixtures: the loss on every kind of text as a function of the shares of streams.

A law is fitted to a table of runs, whoever made them: shares [runs, streams] and losses
[runs, cells], where a cell is a language, a stream, or both. Nothing is trained here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LawName = Literal["linear", "log-linear"]

_FLOORS = np.concatenate([[0.0], 1.0 - np.geomspace(1.0, 0.005, 40)])
"""Floors of a log-linear law that are tried, as fractions of the smallest loss."""


@dataclass(frozen=True)
class LinearLaw:
    """Loss = Σ_j share_j · β_j (RegMix's linear fit; the shares sum to 1, so there is no constant).

    Attributes:
        coefficients: β [streams, cells]: the loss that a stream alone would give.
    """

    coefficients: Floats

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        return shares @ self.coefficients


@dataclass(frozen=True)
class LogLinearLaw:
    """Loss = floor + exp(Σ_j share_j · β_j), Data Mixing Laws' form (Ye et al. 2024, equation 1).

    Attributes:
        floors: of every cell [cells].
        coefficients: β [streams, cells].
    """

    floors: Floats
    coefficients: Floats

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        return self.floors + np.exp(shares @ self.coefficients)


Law = LinearLaw | LogLinearLaw


def fit_law(name: LawName, shares: Floats, losses: Floats) -> Law:
    """The law of a table by least squares; the shortest solution where several fit alike.

    The floor of a log-linear cell is the one of 41 (from 0 to 99.5 % of its smallest loss) with the
    smallest squared error of losses, not of their logarithms.

    Args:
        name: of the law.
        shares: [runs, streams], rows that sum to 1.
        losses: [runs, cells]; above 0 for a log-linear law.
    """
    solve = np.linalg.pinv(shares)
    if name == "linear":
        return LinearLaw(solve @ losses)
    best = np.full(losses.shape[1], np.inf)
    floors, coefficients = np.zeros(losses.shape[1]), np.zeros((shares.shape[1], losses.shape[1]))
    for fraction in _FLOORS:
        floor = fraction * losses.min(axis=0)
        tried = solve @ np.log(losses - floor)
        error = ((floor + np.exp(shares @ tried) - losses) ** 2).sum(axis=0)
        better = error < best
        best = np.where(better, error, best)
        floors = np.where(better, floor, floors)
        coefficients = np.where(better, tried, coefficients)
    return LogLinearLaw(floors, coefficients)


def left_out_errors(name: LawName, shares: Floats, losses: Floats) -> Floats:
    """Errors of predicting every run from all others, [runs, cells].

    Args:
        name: of the law.
        shares: [runs, streams].
        losses: [runs, cells].
    """
    errors = np.empty_like(losses)
    for run in range(len(shares)):
        others = np.arange(len(shares)) != run
        law = fit_law(name, shares[others], losses[others])
        errors[run] = law.predict(shares[run : run + 1])[0] - losses[run]
    return errors


def explains(
    name: LawName,
    shares: Floats,
    losses: Floats,
    score: Callable[[Floats], Floats],
    *,
    num_permutations: int = 199,
    seed: int = 0,
) -> float:
    """p-value that a law predicts nothing: runs whose shares were dealt out anew fit as well.

    Exact under the null that a run's losses do not depend on its shares.

    Args:
        name: of the law.
        shares: [runs, streams].
        losses: [runs, cells].
        score: of losses [n, cells], a number per run [n]: what is to be predicted.
        num_permutations: of the runs.
        seed: of the permutations.

    Returns:
        the share of permutations (and the runs as they are) with a squared error of the score that
        is not larger.
    """
    random = np.random.default_rng(seed)
    target = score(losses)

    def error(order: NDArray[np.int64]) -> float:
        dealt = shares[order]
        return float(((score(fit_law(name, dealt, losses).predict(dealt)) - target) ** 2).sum())

    actual = error(np.arange(len(shares)))
    as_good = sum(
        error(random.permutation(len(shares))) <= actual * (1 + 1e-12)
        for _ in range(num_permutations)
    )
    return (1 + as_good) / (1 + num_permutations)
