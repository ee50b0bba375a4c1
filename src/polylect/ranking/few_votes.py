"""What few votes leave open: more than the sandwich, which believes that what was seen is all.

The sandwich of a few votes is too narrow, and has no width at all after nothing but ties between
equals. So the variance of one more decisive vote is added (in the spirit of Agresti and Coull
1998), wherever votes vary less than 50 decisive ones would: half of one to every such model, spread
over its opponents; and to every pair that few votes link, through whatever models, such as a tie
between two groups of many votes each.

How many votes link a pair is an effective resistance: with conductance n p (1 − p) on every pair,
i and j are as far apart, in variance, as 1 / (R p (1 − p)) direct votes would leave them. Of models
that meet alike it is half of each one's votes, and both rules are one.
"""

import numpy as np

from polylect.ranking._linear_algebra import centered_inverse
from polylect.ranking.counts import FloatArray, PairCounts, laplacian

_FEW_VOTES = 50.0


def few_votes_variance(
    counts: PairCounts, curvature: FloatArray, squared: FloatArray
) -> FloatArray:
    """(P,) addition to the sums of squared residuals, the variance of one decisive vote.

    Args:
        counts: the votes; they link all models.
        curvature: (P,) votes times p(1 − p).
        squared: (P,) sum of squared residuals.
    """
    return curvature * few_votes_share(counts, curvature, squared)


def few_votes_share(counts: PairCounts, curvature: FloatArray, squared: FloatArray) -> FloatArray:
    """(P,) what is added to each pair, as a share of the pair's own curvature.

    Args:
        counts: the votes; they link all models.
        curvature: (P,) votes times p(1 − p); or votes, where ``squared`` counts decisive ones.
        squared: (P,) sum of squared residuals: a decisive vote has p(1 − p), a tie of equals none.
    """
    votes = np.maximum(counts.battles, 1.0)
    decisive = votes * counts.node_sum(squared) / np.maximum(counts.node_sum(curvature), 1e-300)
    of_model = np.where(decisive < _FEW_VOTES, 0.5 / votes, 0.0)
    of_models = of_model[counts.first] + of_model[counts.second]
    inverse = centered_inverse(laplacian(counts, curvature))
    resistance = _of_pairs(counts, inverse)
    variance = _of_pairs(counts, inverse @ laplacian(counts, squared) @ inverse)
    per_vote = curvature / np.maximum(counts.totals, 1.0)
    linking = 1.0 / np.maximum(resistance * per_vote, 1e-300)
    decisive = linking * variance / np.maximum(resistance, 1e-300)
    return np.maximum(of_models, np.where(decisive < _FEW_VOTES / 2.0, 0.5 / linking, 0.0))


def _of_pairs(counts: PairCounts, matrix: FloatArray) -> FloatArray:
    """(P,) the quadratic form of e_i − e_j of each pair."""
    diagonal = np.diag(matrix)
    cross = matrix[counts.first, counts.second]
    return diagonal[counts.first] + diagonal[counts.second] - 2.0 * cross
