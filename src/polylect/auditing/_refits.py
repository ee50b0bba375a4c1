"""Many refits of one board after small changes of its votes, side by side."""

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError
from polylect.ranking import FloatArray, PairCounts, Ratings, fit_strengths

_TOLERANCE = 1e-10
_MAX_STEPS = 30
_MAX_CHANGE = 2.0


class Refits:
    """Refits with the information matrix of the original fit: a step costs one gradient.

    After a change of a small share of the votes the steps ``s += H⁺ g(s)`` contract by that share
    each time; where they do not, the refit falls back to Newton.
    """

    def __init__(self, counts: PairCounts, ratings: Ratings) -> None:
        from scipy.sparse import csr_array

        num_pairs = len(counts.first)
        self.counts = counts
        self.start = ratings.strength
        self.bread = ratings.bread
        rows = np.arange(num_pairs)
        signs = np.ones(num_pairs)
        columns = np.concatenate([counts.first, counts.second])
        values = np.concatenate([signs, -signs])
        where = (np.concatenate([rows, rows]), columns)
        self._incidence = csr_array((values, where), shape=(num_pairs, counts.num_models))
        self._transposed = self._incidence.T.tocsr()

    def strengths(self, outcomes: list[FloatArray]) -> list[FloatArray | None]:
        """Strengths (M,) after each change; None where they are not finite.

        Args:
            outcomes: (P, 4) each, in the pairs of ``counts``.
        """
        if not outcomes:
            return []
        stacked = np.stack(outcomes)
        score = stacked[:, :, 0] + 0.5 * (stacked[:, :, 2] + stacked[:, :, 3])
        total = stacked.sum(2)
        found, good = self._contract(score, total)
        return [
            found[i] if good[i] else self._newton(one, found[i]) for i, one in enumerate(outcomes)
        ]

    def exact(self, outcomes: FloatArray, start: FloatArray) -> FloatArray | None:
        """The refit by Newton to the last digit, or None where the strengths are not finite."""
        return self._newton(outcomes, start)

    def _contract(
        self, score: FloatArray, total: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        from scipy.special import expit

        strength = np.tile(self.start, (len(score), 1))
        good = np.zeros(len(score), bool)
        active = np.arange(len(score))
        for _ in range(_MAX_STEPS):
            gap = (self._incidence @ strength[active].T).T
            gradient = (self._transposed @ (score[active] - total[active] * expit(gap)).T).T
            step = gradient @ self.bread
            strength[active] += step
            length = np.abs(step).max(1)
            good[active[length < _TOLERANCE]] = True
            near = np.abs(strength[active] - self.start).max(1) < _MAX_CHANGE
            active = active[(length >= _TOLERANCE) & near]
            if not len(active):
                break
        return strength, good

    def _newton(self, outcomes: FloatArray, start: FloatArray) -> FloatArray | None:
        changed = self.counts.with_outcomes(outcomes)
        begin = start if np.abs(start - self.start).max() < _MAX_CHANGE else self.start
        try:
            return fit_strengths(changed, begin)
        except UndecidableError:
            return None
