"""Laws over sizes: what a mixture gives at a scale, and at scales that were not run.

A law takes the logarithm of the scale as a further column. The log-linear one is then
``floor + exp(Σ β_j h_j) · scale^(-α)``: Chinchilla's form (Hoffmann et al. 2022, approach 3) in the
one variable that moves tokens and parameters together, with a mixture in place of its constant.
Tokens and parameters that move apart are not told apart here.
"""

from dataclasses import dataclass

import numpy as np

from polylect.base import InputError
from polylect.mixtures.law_forms import Floats, Law, LawName, Numbers
from polylect.mixtures.laws import fit_of

MIN_SCALES = 3
_MIN_MIXTURES = 2


@dataclass(frozen=True)
class ScaledLaw:
    """A law of shares and scale, at one scale.

    Attributes:
        inner: the law of shares and the logarithm of the scale.
        scale: at which it predicts.
    """

    inner: Law
    scale: float

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams] at the scale."""
        return self.inner.predict(with_scale(shares, np.full(len(shares), self.scale)))


def with_scale(shares: Floats, scales: Floats) -> Floats:
    """Shares with the logarithm of the scale as a further column [n, streams + 1]."""
    return np.concatenate([shares, np.log(np.asarray(scales, float))[:, None]], axis=1)


def check_scales(scales: Floats, mixtures: Numbers) -> None:
    """Refuse a table that cannot tell a floor from a slope.

    Args:
        scales: of the runs.
        mixtures: number of the mixture of every run.

    Raises:
        InputError: fewer than three scales, or a scale with fewer than two mixtures.
    """
    known = sorted(set(np.asarray(scales, float).tolist()))
    shown = ", ".join(f"{scale:g}" for scale in known)
    if len(known) < MIN_SCALES:
        raise InputError(
            f"a scaling fit needs runs at {MIN_SCALES} scales or more; there are {len(known)}"
            f" ({shown}): two points do not tell a floor from a slope",
            "run the plan at a further scale, or fit one scale alone with --only-scale",
        )
    for scale in known:
        num = len(set(mixtures[np.asarray(scales) == scale].tolist()))
        if num < _MIN_MIXTURES:
            raise InputError(f"scale {scale:g} has runs of {num} mixture only",
                             "run at least two mixtures at every scale")  # fmt: skip


def largest_scale_error(
    name: LawName, shares: Floats, losses: Floats, scales: Floats, seed: int = 0
) -> Floats:
    """Relative error of a law at the largest scale, fitted to all smaller ones [cells].

    Root mean squared error over the runs of that scale, relative to the cell's mean loss there:
    what a scaling law is for. NaN where fewer than two smaller scales are left.

    Args:
        name: of the law.
        shares: [runs, streams].
        losses: [runs, cells].
        scales: of the runs [runs].
        seed: of a boosted fit.
    """
    scales = np.asarray(scales, float)
    largest = scales == scales.max()
    if len(set(scales[~largest].tolist())) < MIN_SCALES - 1:
        return np.full(losses.shape[1], np.nan)
    columns = with_scale(shares, scales)
    law = fit_of(name, shares.shape[1], seed)(columns[~largest], losses[~largest], None)
    error = law.predict(columns[largest]) - losses[largest]
    return np.sqrt((error**2).mean(axis=0)) / losses[largest].mean(axis=0)
