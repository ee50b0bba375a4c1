"""A head per user, of that user's pairs alone."""

from dataclasses import dataclass
from typing import ClassVar

from polylect.people.methods.heads import fit_head
from polylect.people.methods.model import Arrays, LinearMethod, VectorModel, precision_of
from polylect.people.methods.pairs import CrowdPairs, Pairs


@dataclass(frozen=True)
class Individual(LinearMethod):
    """Bradley–Terry on each user's own pairs, with a ridge penalty (``prior_sd``).

    Nothing is learned from anybody else: it protects minorities and needs data. Source: the
    individual reward model of Dong et al. 2025 (arXiv 2502.19158), on frozen vectors.
    """

    name: ClassVar[str] = "individual"

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The heads of all users."""
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head."""
        return {"head": fit_head(pairs, precision_of(model.shared)).weight[None]}
