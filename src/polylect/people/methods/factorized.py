"""Users' rewards as combinations of few basis rewards."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polylect.base import Count
from polylect.people.methods.low_rank import LowRank, fit_low_rank
from polylect.people.methods.model import Arrays, LinearMethod, VectorModel, precision_of
from polylect.people.methods.pairs import CrowdPairs, Pairs


@dataclass(frozen=True)
class Factorized(LinearMethod):
    """A head V w_u: basis rewards V that all share, weights w_u of each user.

    The weights are normal around a learned mean; a new user learns w alone. Source: LoRe (Bose et
    al. 2025, arXiv 2504.14439), whose weights lie on a simplex: here they are free, so that
    users may also dislike what a basis reward likes. Written anew; LoRe's code was not used.

    Attributes:
        rank: number of basis rewards.
    """

    name: ClassVar[str] = "factorized"

    rank: Count = 8

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The basis, then each user's weights anew, to the last digit."""
        fit = fit_low_rank(pairs, precision_of(shared), self.rank, 1.0, None)
        shared = {**shared, "basis": fit.basis, "mean": fit.mean}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head, by weights of the user's pairs."""
        shared = model.shared
        fit = LowRank(np.zeros(pairs.width), shared["basis"], shared["mean"])
        return {"head": fit.head(pairs, 1.0)[None]}
