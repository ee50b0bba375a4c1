"""Refits of a board after many alternative small changes of its votes, computed together."""

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError
from polylect.ranking import FloatArray, PairCounts, Ratings, fit_strengths

_TOLERANCE = 1e-10
_MAX_STEPS = 30
_MAX_CHANGE = 2.0


class Refits:
    """Refits with the information matrix of the original fit, so that a step costs one gradient.

    After a change of a small share of the votes the steps ``s += H⁺ g(s)`` contract by about that
    share each time. Where they do not converge, the refit falls back to Newton.
    """

    def __init__(self, counts: PairCounts, ratings: Ratings) -> None:
        from scipy.sparse import csr_array

        num_pairs = len(counts.first)
        self.counts = counts
        self.start = ratings.strength
        self.bread = ratings.bread
        columns = np.concatenate([counts.first, counts.second])
        signs = np.repeat([1.0, -1.0], num_pairs)
        where = (np.tile(np.arange(num_pairs), 2), columns)
        self._incidence = csr_array((signs, where), shape=(num_pairs, counts.num_models))
        self._transposed = self._incidence.T.tocsr()

    def strengths(self, outcomes: list[FloatArray]) -> list[FloatArray | None]:
        """Strengths (M,) after each change; None where they are not finite.

        Args:
            outcomes: for each change the (P, 4) outcomes of the pairs of ``counts``.
        """
        if not outcomes:
            return []
        stacked = np.stack(outcomes)
        score = stacked[:, :, 0] + 0.5 * (stacked[:, :, 2] + stacked[:, :, 3])
        total = stacked.sum(2)
        strengths, converged = self._contract(score, total)
        return [
            strengths[i] if converged[i] else self.newton(changed, strengths[i])
            for i, changed in enumerate(outcomes)
        ]

    def newton(self, outcomes: FloatArray, start: FloatArray) -> FloatArray | None:
        """The refit by Newton to the last digit, or None where the strengths are not finite."""
        changed = self.counts.with_outcomes(outcomes)
        is_near = np.abs(start - self.start).max() < _MAX_CHANGE
        try:
            return fit_strengths(changed, start if is_near else self.start)
        except UndecidableError:
            return None

    def _contract(
        self, score: FloatArray, total: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Strengths after the contraction steps, and which of them converged."""
        from scipy.special import expit

        strength = np.tile(self.start, (len(score), 1))
        converged = np.zeros(len(score), bool)
        active = np.arange(len(score))
        for _ in range(_MAX_STEPS):
            gap = (self._incidence @ strength[active].T).T
            gradient = (self._transposed @ (score[active] - total[active] * expit(gap)).T).T
            step = gradient @ self.bread
            strength[active] += step
            length = np.abs(step).max(1)
            converged[active[length < _TOLERANCE]] = True
            near = np.abs(strength[active] - self.start).max(1) < _MAX_CHANGE
            active = active[(length >= _TOLERANCE) & near]
            if not len(active):
                break
        return strength, converged
