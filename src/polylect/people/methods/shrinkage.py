"""Empirical Bayes between one head for all and a head per user."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from polylect.base import Range, generator
from polylect.people.methods.heads import fit_head
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
_MOST_ROUNDS, _TOLERANCE = 200, 1e-4


@dataclass(frozen=True)
class Shrinkage(LinearMethod):
    """Each user's head is drawn towards the crowd's, as strongly as the crowd's data ask for.

    At a strength s the prior of a user's head is proportional to N(0, I / p) · N(pooled, I / s p),
    p the precision that ``prior_sd`` gives: a normal with mean s / (1 + s) times the pooled head
    and precision (1 + s) p. Some users may be drawn strongly and others hardly (a minority that is
    opposed to a majority of one mind): the prior is a mixture over strengths from e⁻⁶ to e⁸, whose
    shares all users share. They maximize the sum of the users' log marginal likelihoods, each by
    Laplace's approximation, by expectation–maximization (nonparametric maximum likelihood of the
    mixing distribution; Laird 1978, on a grid). A user's head is the mean of those at each
    strength, by their posterior probabilities. At strength 0 the method is ``individual``, at
    infinity ``pooled``, both exactly.

    Attributes:
        strength: s, of all users; None estimates the shares of strengths, from at most 256 users,
            drawn by the seed.
    """

    name: ClassVar[str] = "shrinkage"

    strength: Annotated[float, Range(0, math.inf)] | None = None

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The shares of the strengths, and the heads of all users."""
        if self.strength is not None:
            fixed = {"strength": np.array([self.strength], np.float64), "shares": np.ones(1)}
            return self.with_users({**shared, **fixed}, pairs)
        strengths = np.exp(_LOG_STRENGTHS)
        fits = [_at_each(pairs.of(i), shared, strengths) for i in range(len(pairs.users))]
        users = np.arange(len(fits))
        if len(users) > _MOST_USERS:
            drawn = generator(seed, "shrinkage").permutation(len(users))[:_MOST_USERS]
            users = np.sort(drawn)
        shares = _shares(np.stack([fits[i][1] for i in users]))
        shared = {**shared, "strength": strengths, "shares": shares}
        learned = tuple({"head": _mean(heads, evidence, shares)[None]} for heads, evidence in fits)
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head."""
        strengths, shares = model.shared["strength"], model.shared["shares"]
        if math.isinf(float(strengths[0])):
            return {"head": model.shared[CROWD][None]}
        return {"head": _mean(*_at_each(pairs, model.shared, strengths), shares)[None]}


def _at_each(pairs: Pairs, shared: Arrays, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heads [strengths, width] and log marginal likelihoods [strengths] of a user."""
    precision, heads = precision_of(shared), []
    for strength in strengths.tolist():
        mean = strength / (1.0 + strength) * shared[CROWD]
        heads.append(fit_head(pairs, (1.0 + strength) * precision, mean))
    evidence = np.array([head.log_evidence for head in heads])
    return np.stack([head.weight for head in heads]), evidence


def _shares(evidence: np.ndarray) -> np.ndarray:
    """Shares of the strengths that make the users likeliest, from evidence [users, strengths]."""
    shares = np.full(evidence.shape[1], 1.0 / evidence.shape[1])
    for _ in range(_MOST_ROUNDS):
        before, shares = shares, _posterior(evidence, shares).mean(axis=0)
        if np.abs(shares - before).max() < _TOLERANCE:
            break
    return shares


def _mean(heads: np.ndarray, evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The mean of heads by their posterior probabilities."""
    return _posterior(evidence, shares) @ heads


def _posterior(evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities of the strengths, from evidence [..., strengths]."""
    joint = evidence + np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    weights = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
