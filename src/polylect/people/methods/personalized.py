"""A user embedding beside what all share, trained as a known and as a generic user."""

from dataclasses import dataclass
from typing import ClassVar

from polylect.base import Count, Share
from polylect.people.methods.low_rank import LowRank, fit_low_rank
from polylect.people.methods.model import (
    CROWD,
    Arrays,
    LinearMethod,
    VectorModel,
    precision_of,
)
from polylect.people.methods.pairs import CrowdPairs, Pairs


@dataclass(frozen=True)
class Personalized(LinearMethod):
    """A shared head plus a low-rank part of each user, by α · BT(user) + (1 − α) · BT(generic).

    User u's head is w + B e_u with a learned embedding e_u; the generic user's is w, which is also
    what a user gets who is not known. A new user learns e alone. Source: P-RLHF (Li et al. 2024,
    arXiv 2402.05133), whose soft user tokens enter a language model; on frozen vectors an
    embedding that is only added to the input of a linear head cancels in a pair, so it acts through
    the product with the vector. The loss's mixture is that of the paper's code.

    Attributes:
        rank: length of an embedding.
        alpha: α, the share of the known user's loss.
    """

    name: ClassVar[str] = "personalized"

    rank: Count = 8
    alpha: Share = 0.5

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """What is shared, then each user's embedding anew, to the last digit."""
        fit = fit_low_rank(pairs, precision_of(shared), self.rank, self.alpha, shared[CROWD])
        shared = {**shared, CROWD: fit.base, "basis": fit.basis, "mean": fit.mean}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head, by an embedding of the user's pairs."""
        shared = model.shared
        fit = LowRank(shared[CROWD], shared["basis"], shared["mean"])
        return {"head": fit.head(pairs, self.alpha)[None]}
