"""Bradley–Terry with features of the battle: style control, and the advantage of a side."""

from collections.abc import Sequence

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking._joint_fit import fix_common_shift, joint_ratings
from polylect.ranking._linear_algebra import solve_positive
from polylect.ranking._logistic import expit
from polylect.ranking.components import require_finite
from polylect.ranking.counts import OUTCOME_SCORE, FloatArray, PairCounts, laplacian, sum_by
from polylect.ranking.few_votes import few_votes_share
from polylect.ranking.ratings import Ratings
from polylect.ranking.votes import VoteTable

_STEP_TOLERANCE = 1e-10
_MAX_ITERATIONS = 100
_MAX_STEP = 4.0
_BLOCK_ROWS = 1 << 18
_COLLINEAR = 1e-9
SIDE = "side A"
"""The feature that is 1 in every battle. Its coefficient is the advantage of side A."""


def fit_contextual(table: VoteTable, features: Sequence[str]) -> Ratings:
    """Strengths with style features held equal, and a coefficient for each feature.

    The log-odds that A beats B are s_a − s_b + Σ γ_k z_k, where z_k is the feature's (a − b)
    difference divided by its root mean square over the votes. Ties and BOTH_BAD count half. Newton
    on all parameters together, sandwich covariance (LMArena's style control: "Does style matter?",
    2024, and FastChat ``rating_systems.py``). Few votes widen every interval, of strengths and of
    coefficients, as in ``fit_bradley_terry``.

    Two things differ from LMArena's convention. The mean of a difference is not subtracted, since
    that would make the result depend on which model is shown on which side. Nothing is penalized,
    since a penalty on the mean loss (arena-rank's default) shrinks the coefficients to nothing.

    Args:
        table: votes; every model needs a finite strength.
        features: names among ``table.numbers``, or ``SIDE``. None of them: plain Bradley–Terry.

    Returns:
        Ratings whose ``parameters`` are the coefficients per root mean square, in log-odds.

    Raises:
        UndecidableError: strengths are not finite, or a feature is collinear with the models (for
            example one that is constant for each model) or with other features.
    """
    counts = table.counts()
    require_finite(counts)
    design = _Design(table, counts, features)
    point = np.zeros(counts.num_models + len(features))
    length = np.inf
    num_iterations = 0
    while length >= _STEP_TOLERANCE * max(1.0, float(np.abs(point).max())):
        if num_iterations == _MAX_ITERATIONS:
            raise UndecidableError(
                f"no solution after {num_iterations} Newton steps (last step {length:.1g})",
                "check the features for values that decide every vote",
            )
        gradient, hessian, _ = design.derivatives(point)
        if not num_iterations:
            design.require_distinct(hessian)
        step = solve_positive(fix_common_shift(hessian, counts.num_models), gradient)
        length = float(np.abs(step).max())
        point = point + step * min(1.0, _MAX_STEP / max(length, _MAX_STEP))
        num_iterations += 1
    size = counts.num_models
    return joint_ratings(
        counts,
        point,
        point[:size] - point[:size].mean(),
        design.derivatives(point, meat=True),
        features,
        f"Bradley–Terry at equal {', '.join(features)}, ties and both-bad half each",
        num_iterations,
    )


class _Design:
    """The votes, turned so that the first model of their pair is first, with scaled features."""

    def __init__(self, table: VoteTable, counts: PairCounts, features: Sequence[str]) -> None:
        self.counts, self.features = counts, tuple(features)
        size = counts.num_models
        low, high = np.minimum(table.a, table.b), np.maximum(table.a, table.b)
        key = low.astype(np.int64) * size + high
        pairs = counts.first * size + counts.second
        if size > 4096:
            self.pair = np.searchsorted(pairs, key)
        else:
            pair_of_key = np.full(size * size, -1, np.int32)
            pair_of_key[pairs] = np.arange(len(pairs), dtype=np.int32)
            self.pair = pair_of_key[key]
        sign = np.where(table.a < table.b, 1.0, -1.0)
        score = OUTCOME_SCORE[table.outcome]
        self.score = np.where(sign > 0, score, 1.0 - score)
        self.count = table.count
        columns = [
            np.ones(len(table)) if name == SIDE else table.numbers[name] for name in features
        ]
        total = float(self.count.sum())
        scales = [float(np.sqrt(self.count @ column**2 / total)) for column in columns]
        for name, scale in zip(features, scales, strict=True):
            if not scale:
                raise UndecidableError(
                    f"feature {name!r} never differs between the sides", "leave it out"
                )
        self.z = np.empty((len(columns), len(table)))
        for k, (column, scale) in enumerate(zip(columns, scales, strict=True)):
            np.multiply(column, sign / scale, out=self.z[k])

    def derivatives(
        self, point: FloatArray, *, meat: bool = False
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gradient, negative Hessian and, if ``meat``, the sum of outer products of scores.

        The sum includes the variance of one more decisive vote of every model of few votes.
        """
        counts, size, num = self.counts, self.counts.num_models, len(self.features)
        pairs = len(counts.first)
        gap = point[counts.first] - point[counts.second]
        residual_sum = np.zeros(pairs)
        # Rows: curvature and squared residual; columns: 1 and each feature.
        sums = np.zeros((2, num + 1, pairs))
        slope = np.zeros(num)
        inner = np.zeros((2, num, num))
        for start in range(0, len(self.pair), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            pair, z, count = self.pair[rows], self.z[:, rows], self.count[rows]
            win = expit(gap[pair] + point[size:] @ z)
            residual = self.score[rows] - win
            weights = [count * win * (1.0 - win)]
            if meat:
                weights.append(count * residual**2)
            residual = count * residual
            residual_sum += sum_by(pair, residual, pairs)
            slope += z @ residual
            for kind, weight in enumerate(weights):
                sums[kind, 0] += sum_by(pair, weight, pairs)
                weighted = z * weight
                inner[kind] += weighted @ z.T
                for k in range(num):
                    sums[kind, k + 1] += sum_by(pair, weighted[k], pairs)
        if meat:
            self._add_few_votes(point, sums, inner)
        gradient = np.append(counts.node_difference(residual_sum), slope)
        matrices = []
        for kind in range(2):
            matrix = np.zeros((size + num, size + num))
            matrix[:size, :size] = laplacian(counts, sums[kind, 0])
            for k in range(num):
                column = counts.node_difference(sums[kind, k + 1])
                matrix[:size, size + k] = matrix[size + k, :size] = column
            matrix[size:, size:] = inner[kind]
            matrices.append(matrix)
        return gradient, matrices[0], matrices[1]

    def _add_few_votes(self, point: FloatArray, sums: FloatArray, inner: FloatArray) -> None:
        """Add one more decisive vote, where there are few, to the outer products, in place."""
        counts, size = self.counts, self.counts.num_models
        share = few_votes_share(counts, sums[0, 0], sums[1, 0])
        if not share.any():
            return
        sums[1] += share * sums[0]
        gap = point[counts.first] - point[counts.second]
        for start in range(0, len(self.pair), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            pair, z = self.pair[rows], self.z[:, rows]
            win = expit(gap[pair] + point[size:] @ z)
            inner[1] += (z * (share[pair] * self.count[rows] * win * (1.0 - win))) @ z.T

    def require_distinct(self, hessian: FloatArray) -> None:
        """Check that every feature varies beyond what the models and other features explain.

        Raises:
            UndecidableError: one does not; names it.
        """
        size = self.counts.num_models
        for k, name in enumerate(self.features):
            rest = np.delete(np.arange(len(hessian)), size + k)
            cross, information = hessian[rest, size + k], hessian[size + k, size + k]
            inner = fix_common_shift(hessian[np.ix_(rest, rest)], size)
            # A tiny ridge, so that of two equal features both are named and none fails to solve.
            inner[np.arange(len(rest)), np.arange(len(rest))] *= 1.0 + 1e-13
            left = information - float(cross @ solve_positive(inner, cross))
            if left < _COLLINEAR * information:
                raise UndecidableError(
                    f"feature {name!r} cannot be told from the models or the other features",
                    "leave it out",
                )
