"""One head for all: the ordinary reward model, to which every other method is compared."""

from dataclasses import dataclass
from typing import ClassVar

from polylect.people.methods.model import Arrays, LinearMethod, VectorModel
from polylect.people.methods.pairs import CrowdPairs, Pairs


@dataclass(frozen=True)
class Pooled(LinearMethod):
    """Bradley–Terry on the pairs of all users, whoever made them (Bradley and Terry 1952).

    Every user, known or not, gets the same scores. Source: the vanilla reward model of Dong et al.
    2025 (arXiv 2502.19158), with a linear head on frozen vectors for the tuned language model.
    """

    name: ClassVar[str] = "pooled"
    personal_names: ClassVar[tuple[str, ...]] = ()

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The crowd's head alone."""
        return VectorModel(self, pairs.users, shared, tuple({} for _ in pairs.users))

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """Nothing."""
        return {}
