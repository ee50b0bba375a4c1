"""Intervals of what a law says, by resampling the mixtures that it was fitted to.

The design of an experiment is fixed, and often has six mixtures; drawing mixtures with replacement
would leave too few of them to fit anything. So the mixtures stay, and what the law left unexplained
of each, in all cells and seeds at once, is multiplied by a random number (the wild cluster
bootstrap, Cameron, Gelbach and Miller 2008; Webb's six numbers for few clusters).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from polylect.base import generator
from polylect.mixtures.law_forms import Fit, Floats, Law, Numbers

_WEBB = np.sqrt([0.5, 1.0, 1.5])
_WEIGHTS = np.concatenate([-_WEBB, _WEBB])


@dataclass(frozen=True)
class Interval:
    """Values with intervals.

    Attributes:
        values: estimates.
        lower: of the same shape.
        upper: of the same shape.
    """

    values: Floats
    lower: Floats
    upper: Floats


def resampled_laws(
    fit: Fit,
    law: Law,
    shares: Floats,
    losses: Floats,
    left_out: Floats,
    mixtures: Numbers,
    *,
    num: int,
    seed: int,
) -> Iterator[Law]:
    """The laws of resampled tables.

    A residual is the geometric mean of those with and without its mixture in the fit: for a linear
    law, the residual of constant variance (HC2).

    Args:
        fit: of the law.
        law: of the table.
        shares: [runs, streams].
        losses: [runs, cells].
        left_out: predictions of every run from other mixtures [runs, cells].
        mixtures: number of the mixture of every run [runs].
        num: of tables.
        seed: of what is drawn.
    """
    fitted = law.predict(shares)
    outside = losses - left_out
    residuals = np.sign(outside) * np.sqrt(np.abs(outside * (losses - fitted)))
    least = 1e-3 * losses.min(axis=0)
    for number in range(num):
        weights = generator(seed, "resample", number).choice(_WEIGHTS, int(mixtures.max()) + 1)
        yield fit(shares, np.maximum(fitted + weights[mixtures, None] * residuals, least), law)


def interval_of(
    values: Floats, draws: Floats, degrees: int, level: float, *, together: bool
) -> Interval:
    """Intervals of values from their resampled draws, standard errors times a quantile.

    Args:
        values: estimates, of any shape.
        draws: resampled values [resamples, ...].
        degrees: of freedom that the fit left: few widen the interval, by Student's t.
        level: of the intervals, e.g. 0.95.
        together: whether they hold all at once (the quantile of the largest deviation) or each.
    """
    from scipy.special import ndtr, ndtri, stdtrit

    error = np.sqrt(((draws - values) ** 2).mean(axis=0))
    quantile = float(ndtri((1 + level) / 2))
    if together and values.size > 1:
        away = np.abs(draws - values) / np.where(error > 0, error, 1.0)
        largest = np.nan_to_num(away).reshape(len(draws), -1).max(axis=1)
        quantile = max(quantile, float(np.quantile(largest, level)))
    width = -float(stdtrit(max(1, degrees), ndtr(-quantile))) * error
    return Interval(values, values - width, values + width)


def resample(
    laws: Iterator[Law], measures: dict[str, Callable[[Law], Floats]]
) -> dict[str, Floats]:
    """Several measures of the same resampled laws: of each, draws [resamples, ...]."""
    drawn: dict[str, list[Floats]] = {name: [] for name in measures}
    for law in laws:
        for name, measure in measures.items():
            drawn[name].append(np.asarray(measure(law)))
    return {name: np.array(values) for name, values in drawn.items()}
