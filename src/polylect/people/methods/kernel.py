"""Retrieval over a user's own pairs: texts like those that the user chose are liked."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polylect.base import Positive, generator
from polylect.people.methods.heads import Head, fit_head
from polylect.people.methods.model import Arrays, VectorMethod, VectorModel, pairs_as_arrays
from polylect.people.methods.pairs import CrowdPairs, Pairs

_MOST_USERS = 256
_LEAST_FACTOR = 1e-3  # votes that mislead on strange texts still know their own
_MOST_PAIRS = 200
_BANDWIDTHS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class Kernel(VectorMethod):
    """A vote of the user's own pairs, each text by itself (Nadaraya 1964; Watson 1964).

    A text's vote is log((c + a) / (r + a)): c sums the kernel exp(−d² / 2h²) over the texts that
    the user chose, r over those that the user rejected, and a is ``prior_count``. Where texts
    repeat and h is small it is the log-odds of how often the text won. The score is the vote times
    one factor for all users, which makes differences log-odds. Source: the retrieval baseline of
    Dong et al. 2025 (arXiv 2502.19158), as a vote in feature space, without a language model.

    Attributes:
        bandwidth: h, in root mean square distances between two texts; None takes that of
            0.1 … 1 under which the users' pairs are likeliest, each judged by the user's pairs
            that share no text with it (at most 200 pairs each of 256 users, drawn by the seed).
            The factor is estimated in the same way.
        prior_count: a; more of it, and few neighbors say less.
    """

    name: ClassVar[str] = "kernel"
    personal_names: ClassVar[tuple[str, ...]] = ("vectors", "pairs")

    bandwidth: Positive | None = None
    prior_count: Positive = 1.0

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The bandwidth, and every user's pairs."""
        square = 2.0 * pairs.spread
        candidates = (self.bandwidth,) if self.bandwidth else _BANDWIDTHS
        variances = np.square(candidates) * square
        variance, scale = self._likeliest(pairs, variances, seed)
        shared = {**shared, "variance": np.array([variance]), "scale": np.array([scale])}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's pairs as they are."""
        return pairs_as_arrays(pairs)

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The vote on each text."""
        texts, pairs = personal["vectors"].astype(np.float64), personal["pairs"]
        kernel = np.exp(-_squared_distances(vectors, texts) / (2.0 * float(shared["variance"][0])))
        num = len(texts)
        counts = np.stack([np.bincount(pairs[:, i], minlength=num) for i in (0, 1)], axis=1)
        votes = kernel @ counts.astype(np.float64) + self.prior_count
        return float(shared["scale"][0]) * np.log(votes[:, 0] / votes[:, 1])

    def _likeliest(
        self, pairs: CrowdPairs, variances: np.ndarray, seed: int
    ) -> tuple[float, float]:
        """Variance of the kernel, and the factor of the votes."""
        draw = generator(seed, "kernel")
        users = np.sort(draw.permutation(len(pairs.users))[:_MOST_USERS])
        votes: list[list[np.ndarray]] = [[] for _ in variances]
        for user in users:
            part = pairs.of(int(user))
            some = np.sort(draw.permutation(len(part))[:_MOST_PAIRS])
            part = Pairs(part.vectors, part.chosen[some], part.rejected[some])
            distances = _squared_distances(part.vectors, part.vectors)
            strangers = _share_no_text(part).astype(np.float64)
            for i, variance in enumerate(variances):
                kernel = np.exp(-distances / (2.0 * variance))
                votes[i].append(self._left_out(kernel, part, strangers))
        fits = [_factor(np.concatenate(margins)) for margins in votes]
        best = int(np.argmax([fit.log_likelihood for fit in fits]))
        return float(variances[best]), max(float(fits[best].weight[0]), _LEAST_FACTOR)

    def _left_out(self, kernel: np.ndarray, pairs: Pairs, strangers: np.ndarray) -> np.ndarray:
        """Differences of votes on pairs, each by the pairs that share no text with it [pairs]."""
        votes = []
        for text in (pairs.chosen, pairs.rejected):
            won = (kernel[text][:, pairs.chosen] * strangers).sum(axis=1) + self.prior_count
            lost = (kernel[text][:, pairs.rejected] * strangers).sum(axis=1) + self.prior_count
            votes.append(np.log(won / lost))
        return votes[0] - votes[1]


def _factor(margins: np.ndarray) -> Head:
    """The factor under which margins are likeliest; near 1 where they say nothing."""
    num = len(margins)
    vectors = np.concatenate([margins, [0.0]])[:, None]
    pairs = Pairs(vectors, np.arange(num), np.full(num, num))
    return fit_head(pairs, 1.0, np.ones(1))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between rows, float64 [rows of a, rows of b]."""
    center = b.mean(axis=0)
    a, b = a - center, b - center
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(squares, 0.0)


def _share_no_text(pairs: Pairs) -> np.ndarray:
    """Whether two pairs have no text in common, bool [pairs, pairs]."""
    sides = [(a, b) for a in (pairs.chosen, pairs.rejected) for b in (pairs.chosen, pairs.rejected)]
    return ~np.any([a[:, None] == b for a, b in sides], axis=0)
