"""Pareto front and hypervolume; more is better everywhere."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polylect.checkpoints import Floats
from polylect.search._extra import optional


def is_on_front(values: Floats) -> NDArray[np.bool_]:
    """Which rows no other row dominates: is as good everywhere and better somewhere.

    Rows that are equal do not dominate each other. A row with NaN is never on the front.

    Args:
        values: float [candidates, aspects], more is better.
    """
    whole = np.array(np.isfinite(values).all(axis=1), bool)
    found = whole.copy()
    for number in np.flatnonzero(whole):
        others = values[whole]
        better = (others >= values[number]).all(axis=1) & (others > values[number]).any(axis=1)
        found[number] = not better.any()
    return found


def knee(values: Floats) -> int:
    """The row of the front that is best in its worst aspect, each on the front's own range.

    Ties go to the first. The aspect in which all are equal has no say.

    Args:
        values: float [candidates, aspects], all on the front.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    spread = high > low
    if not spread.any():
        return 0
    scaled = (values[:, spread] - low[spread]) / (high - low)[spread]
    return int(np.argmax(scaled.min(axis=1)))


def hypervolume(values: Floats, reference: Sequence[float] | Floats) -> float:
    """The volume that is dominated by some row and dominates the reference point.

    By pymoo. A row that is not better than the reference in every aspect adds nothing.

    Args:
        values: float [candidates, aspects], more is better.
        reference: float [aspects]: the worst that counts, such as the pool's worst single ones.

    Raises:
        PolylectError: the ``pymoo`` package is not installed.
    """
    worst = np.asarray(reference, np.float64)
    inside = np.isfinite(values).all(axis=1) & (values > worst).all(axis=1)
    if not inside.any():
        return 0.0
    measure = optional("pymoo.indicators.hv").HV(ref_point=-worst)
    return float(measure(-values[inside]))
