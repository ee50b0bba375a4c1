"""Pareto front, knee and hypervolume; higher is better in every column."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.search._extra import optional


def is_on_front(values: Floats) -> NDArray[np.bool_]:
    """Which rows no other row dominates, i.e. is as good everywhere and better somewhere.

    Equal rows do not dominate each other. A row with NaN is never on the front.

    Args:
        values: float [candidates, aspects], higher is better.

    >>> is_on_front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [True, True, False]
    """
    finite = np.array(np.isfinite(values).all(axis=1), bool)
    on_front = finite.copy()
    rivals = values[finite]
    for number in np.flatnonzero(finite):
        row = values[number]
        on_front[number] = not ((rivals >= row).all(axis=1) & (rivals > row).any(axis=1)).any()
    return on_front


def knee(values: Floats) -> int:
    """The row of the front whose worst aspect is best, each aspect scaled to the front's range.

    Ties go to the first row. An aspect in which all rows are equal is ignored.

    Args:
        values: float [candidates, aspects], all on the front.

    >>> knee(np.array([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]]))
    1
    """
    low, high = values.min(axis=0), values.max(axis=0)
    varies = high > low
    if not varies.any():
        return 0
    scaled = (values[:, varies] - low[varies]) / (high - low)[varies]
    return int(np.argmax(scaled.min(axis=1)))


def hypervolume(values: Floats, reference: Sequence[float] | Floats) -> float:
    """The volume between the reference point and the rows that dominate it, by pymoo.

    A row that is not better than the reference in every aspect adds nothing.

    Args:
        values: float [candidates, aspects], higher is better.
        reference: float [aspects]: the worst point that counts, e.g. the worst single checkpoint.

    Raises:
        PolylectError: the ``pymoo`` package is not installed.
    """
    worst = np.asarray(reference, np.float64)
    better = np.isfinite(values).all(axis=1) & (values > worst).all(axis=1)
    if not better.any():
        return 0.0
    indicator = optional("pymoo.indicators.hv").HV(ref_point=-worst)
    return float(indicator(-values[better]))
