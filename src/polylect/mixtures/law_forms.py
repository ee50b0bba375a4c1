"""Forms of laws of mixtures: the loss on every kind of text as a function of the shares of streams.

A law is fitted to a table of runs, whoever made them: shares [runs, streams] and losses
[runs, cells], where a cell is a language, a stream, or both. Nothing is trained here.

==============  ===================================================  ===========================
law             loss of a cell                                       source
==============  ===================================================  ===========================
``linear``      Σ β_j h_j                                            RegMix's linear fit
``quadratic``   Σ β_j h_j + Σ γ_jk h_j h_k: a best share in between  Scheffé 1958
``log-linear``  floor + exp(Σ β_j h_j)                               Ye et al. 2024, equation 1
``log-root``    floor + exp(Σ β_j h_j + Σ γ_j √h_j): steep where a   here; Shukor et al. 2025
                stream is rare, as power laws are                    have powers of shares, too
``boosted``     trees                                                RegMix (Liu et al. 2024)
==============  ===================================================  ===========================
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
LawName = Literal["linear", "quadratic", "log-linear", "log-root", "boosted"]
SMOOTH: tuple[LawName, ...] = ("linear", "quadratic", "log-linear", "log-root")
"""Laws that need no further package, from the stiffest to the most pliant."""


class Law(Protocol):
    """What predicts losses from shares."""

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        ...


@dataclass(frozen=True)
class LinearLaw:
    """Loss = Σ feature · β; without a constant, as the shares sum to 1.

    Attributes:
        name: ``linear`` or ``quadratic``.
        num_streams: columns that are shares; further ones are taken as they are.
        coefficients: β [features, cells].
    """

    name: LawName
    num_streams: int
    coefficients: Floats

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        return features_of(self.name, shares, self.num_streams) @ self.coefficients


@dataclass(frozen=True)
class ExponentialLaw:
    """Loss = floor + exp(Σ feature · β).

    Attributes:
        name: ``log-linear`` or ``log-root``.
        num_streams: columns that are shares; further ones are taken as they are.
        floors: of every cell [cells].
        coefficients: β [features, cells].
    """

    name: LawName
    num_streams: int
    floors: Floats
    coefficients: Floats

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        features = features_of(self.name, shares, self.num_streams)
        return self.floors + np.exp(np.minimum(features @ self.coefficients, 50.0))


def features_of(name: LawName, columns: Floats, num_streams: int) -> Floats:
    """What a law is linear in, or its exponent: [n, features].

    Args:
        name: of the law.
        columns: shares, and further columns, which are handed through [n, columns].
        num_streams: columns that are shares.
    """
    shares = columns[:, :num_streams]
    if name == "quadratic":
        first, second = np.triu_indices(num_streams, 1)
        return np.concatenate([columns, shares[:, first] * shares[:, second]], axis=1)
    if name == "log-root":
        return np.concatenate([columns, np.sqrt(np.maximum(shares, 0.0))], axis=1)
    return columns


Fit = Callable[[Floats, Floats, Law | None], Law]
"""Shares [runs, streams], losses [runs, cells] and a law of nearly the same runs, to a law."""


def num_coefficients(name: LawName, shares: Floats, num_streams: int) -> int:
    """Numbers that a law takes from every cell of these runs; 0 for trees, which take few."""
    if name == "boosted":
        return 0
    rank = int(np.linalg.matrix_rank(features_of(name, shares, num_streams)))
    return rank + (name in ("log-linear", "log-root"))
