"""Empirical Bayes between one head for all and a head per user."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from polylect.base import Range, generator
from polylect.people.methods.heads import Head, fit_head
from polylect.people.methods.model import (
    CROWD,
    Arrays,
    LinearMethod,
    VectorModel,
    precision_of,
)
from polylect.people.methods.pairs import CrowdPairs, Pairs

_MOST_USERS = 256
_LOG_STRENGTHS = np.linspace(-6.0, 8.0, 8)


@dataclass(frozen=True)
class Shrinkage(LinearMethod):
    """Each user's head is drawn towards the crowd's, as strongly as the crowd's data ask for.

    The prior of a user's head is proportional to N(0, I / p) · N(pooled, I / (s p)), p the
    precision that ``prior_sd`` gives: a normal with mean s / (1 + s) times the pooled head and
    precision (1 + s) p. The strength s is the one number that all users share; it maximizes the
    sum of their log marginal likelihoods, each by Laplace's approximation (type-II maximum
    likelihood; Rasmussen and Williams 2006, sections 3.4.4 and 5.2). At 0 the method is
    ``individual``, at infinity ``pooled``, both exactly.

    Attributes:
        strength: s; None estimates it, from at most 256 users, drawn by the seed.
    """

    name: ClassVar[str] = "shrinkage"

    strength: Annotated[float, Range(0, math.inf)] | None = None

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The strength, and the heads of all users."""
        strength = self.strength
        if strength is None:
            strength = self._estimate(pairs, shared, seed)
        shared = {**shared, "strength": np.array([strength], np.float64)}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head."""
        strength = float(model.shared["strength"][0])
        if math.isinf(strength):
            return {"head": model.shared[CROWD][None]}
        return {"head": _shrunken(pairs, model.shared, strength).weight[None]}

    def _estimate(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> float:
        """The strength that makes the pairs most likely."""
        from scipy.optimize import minimize_scalar

        users = np.arange(len(pairs.users))
        if len(users) > _MOST_USERS:
            drawn = generator(seed, "shrinkage").permutation(len(users))[:_MOST_USERS]
            users = np.sort(drawn)
        parts = [pairs.of(int(i)) for i in users]

        def loss(log_strength: float) -> float:
            strength = math.exp(log_strength)
            return -sum(_shrunken(part, shared, strength).log_evidence for part in parts)

        losses = [loss(x) for x in _LOG_STRENGTHS]
        near = _LOG_STRENGTHS[int(np.argmin(losses))]
        step = _LOG_STRENGTHS[1] - _LOG_STRENGTHS[0]
        best = minimize_scalar(
            loss, bounds=(near - step, near + step), method="bounded", options={"xatol": 0.05}
        )
        return math.exp(float(best.x))


def _shrunken(pairs: Pairs, shared: Arrays, strength: float) -> Head:
    mean = strength / (1.0 + strength) * shared[CROWD]
    return fit_head(pairs, (1.0 + strength) * precision_of(shared), mean)
