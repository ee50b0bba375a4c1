"""A user is served by the heads of the users who are most like that user."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polylect.base import Count
from polylect.people.methods.heads import fit_head, log_sigmoid, margins
from polylect.people.methods.model import Arrays, LinearMethod, VectorModel, precision_of
from polylect.people.methods.pairs import CrowdPairs, Pairs


@dataclass(frozen=True)
class Matching(LinearMethod):
    """The mean of the individual heads of the users under whose heads the pairs are likeliest.

    The user's own head is not among them: that would be ``individual``. Source: the similar-user
    baseline for new users of Dong et al. 2025 (arXiv 2502.19158), whose exact rule was not seen.

    Attributes:
        num_neighbors: users whose heads are averaged; all others, where there are fewer.
    """

    name: ClassVar[str] = "matching"
    personal_names: ClassVar[tuple[str, ...]] = ("head", "own")

    num_neighbors: Count = 5

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """Own heads of all users, then their neighbors'."""
        parts = [pairs.of(i) for i in range(len(pairs.users))]
        own = np.stack([fit_head(part, precision_of(shared)).weight for part in parts])
        learned = tuple(
            {"head": self._mean_of_nearest(np.delete(own, i, axis=0), part, own[i]),
             "own": own[i][None]}
            for i, part in enumerate(parts)
        )  # fmt: skip
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's own head, and the mean of the neighbors'."""
        own = fit_head(pairs, precision_of(model.shared)).weight
        others = [arrays["own"][0] for arrays in model.personal if arrays]
        pool = np.stack(others) if others else np.zeros((0, pairs.width))
        return {"head": self._mean_of_nearest(pool, pairs, own), "own": own[None]}

    def _mean_of_nearest(self, pool: np.ndarray, pairs: Pairs, own: np.ndarray) -> np.ndarray:
        """Of the heads [others, width], as a head [1, width]; the user's own without others."""
        if not len(pool):
            return own[None]
        likelihood = log_sigmoid(margins(pairs.vectors @ pool.T, pairs)).sum(axis=0)
        nearest = np.argsort(-likelihood, kind="stable")[: self.num_neighbors]
        return pool[np.sort(nearest)].mean(axis=0)[None]
