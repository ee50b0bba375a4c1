"""RegMix's boosted fit: a LightGBM regression of every cell's loss on the shares.

Source: RegMix (Liu et al. 2024), with the settings of its notebook
(sail-sg/regmix, regression_fitting/regression.ipynb): 1,000 trees at a rate of 0.01, seed 42.
Two things differ. The notebook stops early on the mixtures that it then reports the fit for; here
all 1,000 trees are kept (on RegMix's own runs that is as good: docs/guides/mixtures.md). And a leaf
has at least a 25th of the runs, from 3 to the notebook's 20, as with 20 a table of 40 runs would
not be split at all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from polylect.base import import_optional
from polylect.mixtures.law_forms import Fit, Floats, Law

NUM_TREES = 1000
_RATE = 0.01
_LEAF, _LEAST_LEAF, _RUNS_PER_LEAF = 20, 3, 25


@dataclass(frozen=True)
class BoostedLaw:
    """Loss = a sum of trees of the shares.

    Attributes:
        trees: LightGBM's booster of every cell.
    """

    trees: tuple[Any, ...]

    def predict(self, shares: Floats) -> Floats:
        """Losses [n, cells] of mixtures [n, streams]."""
        columns = [trees.predict(shares, num_threads=1) for trees in self.trees]
        return np.stack(columns, axis=1)


def boosted_fit(seed: int) -> Fit:
    """The fit of a boosted law.

    Args:
        seed: added to RegMix's 42.

    Raises:
        InputError: LightGBM is not installed.
    """
    lightgbm = import_optional("lightgbm", "a boosted fit", "fit")

    def fit(shares: Floats, losses: Floats, start: Law | None = None) -> Law:
        leaf = max(_LEAST_LEAF, min(_LEAF, len(shares) // _RUNS_PER_LEAF))
        settings = {
            "objective": "regression", "learning_rate": _RATE, "seed": 42 + seed, "num_threads": 1,
            "min_data_in_leaf": leaf, "deterministic": True, "verbosity": -1,
        }  # fmt: skip
        return BoostedLaw(tuple(
            lightgbm.train(settings, lightgbm.Dataset(shares, losses[:, cell]), NUM_TREES)
            for cell in range(losses.shape[1])
        ))  # fmt: skip

    return fit
