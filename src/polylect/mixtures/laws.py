"""Fitting laws of mixtures, and what they predict of mixtures that they were not fitted to.

What is left out to judge a law is a whole mixture with all its seeds: another seed of the same
mixture would tell a law what it is asked for.
"""

import numpy as np

from polylect.base import generator
from polylect.mixtures.boosted import boosted_fit
from polylect.mixtures.law_forms import (
    ExponentialLaw,
    Fit,
    Floats,
    Law,
    LawName,
    LinearLaw,
    Numbers,
    features_of,
)
from polylect.mixtures.least_squares import fit_exponentials

EACH_ALONE, PARTS = 128, 64
"""Up to so many mixtures each is left out alone; more are left out in so many parts."""


def fit_of(name: LawName, num_streams: int, seed: int = 0) -> Fit:
    """The fit of a law by its name.

    Least squares of losses; the shortest coefficients where several fit alike. The floors of an
    exponential law lie between 0 and 99.5 % of a cell's smallest loss: Data Mixing Laws
    (Ye et al. 2024) takes Huber's error of the same form and many random starts; here it starts
    from three floors, or from the law that is handed in.

    Args:
        name: of the law.
        num_streams: columns that are shares.
        seed: of a boosted fit.

    Raises:
        InputError: a boosted fit, and LightGBM is not installed.
    """
    if name == "boosted":
        return boosted_fit(seed)

    def fit(shares: Floats, losses: Floats, start: Law | None = None) -> Law:
        features = features_of(name, shares, num_streams)
        if name in ("linear", "quadratic"):
            return LinearLaw(name, num_streams, np.linalg.pinv(features) @ losses)
        begin = None
        if isinstance(start, ExponentialLaw) and start.name == name:
            begin = (start.floors, start.coefficients)
        return ExponentialLaw(name, num_streams, *fit_exponentials(features, losses, begin))

    return fit


def fit_law(name: LawName, shares: Floats, losses: Floats, *, seed: int = 0) -> Law:
    """The law of a table of runs.

    Args:
        name: of the law.
        shares: [runs, streams], rows that sum to 1.
        losses: [runs, cells]; above 0 for an exponential law.
        seed: of a boosted fit.

    Raises:
        InputError: a boosted fit, and LightGBM is not installed.
    """
    return fit_of(name, shares.shape[1], seed)(shares, losses, None)


def deal_folds(mixtures: Numbers, num_folds: int | None, seed: int = 0) -> Numbers:
    """Number of the fold in which every run is left out [runs]: never two folds for one mixture.

    Args:
        mixtures: number of the mixture of every run [runs], from 0.
        num_folds: most folds. None: every mixture alone up to 128, else 64 parts.
        seed: of the dealing.
    """
    num = int(mixtures.max()) + 1
    most = (EACH_ALONE if num <= EACH_ALONE else PARTS) if num_folds is None else num_folds
    if num <= most:
        return mixtures
    order = generator(seed, "folds").permutation(num)
    return (order % most)[mixtures]


def predict_left_out(
    name: LawName, shares: Floats, losses: Floats, folds: Numbers, num_streams: int, seed: int = 0
) -> Floats:
    """Losses of every run [runs, cells], predicted from the runs of all other folds.

    Args:
        name: of the law.
        shares: [runs, streams].
        losses: [runs, cells].
        folds: number of the fold of every run [runs], from 0.
        num_streams: columns of ``shares`` that are shares.
        seed: of a boosted fit.
    """
    fit = fit_of(name, num_streams, seed)
    predicted = np.empty_like(losses)
    start = None if name == "boosted" else fit(shares, losses, None)
    for fold in range(int(folds.max()) + 1):
        left = folds == fold
        law = fit(shares[~left], losses[~left], start)
        predicted[left] = law.predict(shares[left])
    return predicted
