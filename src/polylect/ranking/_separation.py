"""Separation in fits with ties as outcomes: a linear program finds infinite solutions."""

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking.components import all_finite
from polylect.ranking.counts import FloatArray, PairCounts

_SLACK = 1e-7


def require_finite_ties(
    counts: PairCounts, cells: FloatArray, margins: list[FloatArray], method: str
) -> None:
    """Check that the likelihood has its maximum at finite strengths and tie parameters.

    It has none when there is a direction along which no observed outcome gets less likely and some
    outcome gets more likely (Albert and Anderson 1984, for logit models). Where decisive votes
    alone link all models in both directions there is no such direction, and nothing is computed.

    Args:
        counts: models and pairs.
        cells: (P, K) votes by outcome.
        margins: per outcome (R, L) coefficients of quantities that must not be negative along a
            direction if the outcome is not to get less likely. The L local parameters are the two
            strengths, then the extra ones.
        method: of the fit, for the error.

    Raises:
        UndecidableError: no finite solution; names the models that would run away.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    decisive = np.zeros_like(counts.outcomes)
    decisive[:, :2] = cells[:, :2]
    if all_finite(counts.with_outcomes(decisive)):
        return
    size, num_extra = counts.num_models, margins[0].shape[1] - 2
    rows, columns, values, num_rows = [], [], [], 0
    for outcome, margin in enumerate(margins):
        pairs = np.flatnonzero(cells[:, outcome])
        extra = np.broadcast_to(np.arange(size, size + num_extra), (len(pairs), num_extra))
        index = np.column_stack([counts.first[pairs], counts.second[pairs], extra])
        for coefficients in margin:
            rows.append(np.repeat(num_rows + np.arange(len(pairs)), 2 + num_extra))
            columns.append(index.ravel())
            values.append(np.tile(coefficients, len(pairs)))
            num_rows += len(pairs)
    matrix = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(num_rows, size + num_extra),
    ).tocsr()
    gain = np.asarray(matrix.sum(axis=0)).ravel()
    solution = linprog(-gain, A_ub=-matrix, b_ub=np.zeros(num_rows), bounds=(-1.0, 1.0))
    if -solution.fun <= _SLACK:
        return
    strength = solution.x[:size]
    infinite = [counts.models[i] for i in np.flatnonzero(strength >= strength.max() - _SLACK)]
    raise UndecidableError(
        f"{method}: no finite solution: too few decisive votes against {', '.join(infinite[:5])}",
        "use the fit in which a tie counts half, or collect votes",
    )
