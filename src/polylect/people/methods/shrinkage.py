"""Empirical Bayes between one head for all and a head per user."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from polylect.base import InputError, Range, generator
from polylect.people.methods.heads import Head, fit_head, log_sigmoid, margins
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
_NUM_FOLDS, _FINE = 8, 1e3
_LEAST_WEIGHT = 1e-9
_FOLDS = "folds"
_MOST_ROUNDS, _TOLERANCE = 200, 1e-4


@dataclass(frozen=True)
class Shrinkage(LinearMethod):
    """Each user's head is drawn towards the crowd's, as strongly as the crowd's data ask for.

    At a strength s the prior of a user's head is proportional to N(0, I / p) · N(pooled, I / s p),
    p the precision that ``prior_sd`` gives: a normal with mean s / (1 + s) times the pooled head
    and precision (1 + s) p. Some users may be drawn strongly and others hardly (a minority that is
    opposed to a majority of one mind): the prior is a mixture over strengths from e⁻⁶ to e⁸, whose
    shares all users share. They maximize how well the users' held-out pairs are predicted, by
    expectation–maximization (nonparametric maximum likelihood of the mixing distribution; Laird
    1978, on a grid). A user's head is the mean of those at each strength, by their posterior
    probabilities. At strength 0 the method is ``individual``, at infinity ``pooled``, both exactly.

    Held-out pairs, not marginal likelihoods: texts fall into four parts by their vectors' content;
    pairs with a text of a part are predicted by the user's other pairs beside a pooled head that
    no pair with a text of that part taught. Where users label the same pairs, the pooled head knows
    by heart what it would be judged by; and where their tastes differ in few directions, marginal
    likelihoods, which also judge what a user's first pairs say, trust it too long.

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
        shared = {**shared, "strength": strengths, _FOLDS: _fold_heads(pairs, shared)}
        parts = [pairs.of(i) for i in range(len(pairs.users))]
        evidence = np.stack([_evidence(part, shared) for part in parts])
        users = np.arange(len(parts))
        if len(users) > _MOST_USERS:
            drawn = generator(seed, "shrinkage").permutation(len(users))[:_MOST_USERS]
            users = np.sort(drawn)
        shared["shares"] = shares = _shares(evidence[users])
        learned = tuple({"head": _mean(part, shared, _posterior(row, shares))[None]}
                        for part, row in zip(parts, evidence, strict=True))  # fmt: skip
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head."""
        strength, shares = model.shared["strength"], model.shared["shares"]
        if math.isinf(float(strength[0])):
            return {"head": model.shared[CROWD][None]}
        weights = np.ones(1)
        if len(strength) > 1:
            if _FOLDS not in model.shared:
                raise InputError("the model is of an earlier version of shrinkage", "fit it again")
            weights = _posterior(_evidence(pairs, model.shared), shares)
        return {"head": _mean(pairs, model.shared, weights)[None]}


def _fold_of(vectors: np.ndarray, shared: Arrays) -> np.ndarray:
    """The part that each text falls into, by its vector alone, whatever its scale [texts]."""
    direction = generator(0, "shrinkage", "folds").normal(size=vectors.shape[1])
    place = vectors @ direction / np.linalg.norm(direction) / precision_of(shared) ** 0.5
    return np.floor(_FINE * place).astype(np.int64) % _NUM_FOLDS


def _fold_heads(pairs: CrowdPairs, shared: Arrays) -> np.ndarray:
    """For each part, the head of the pairs without a text of it; 0 of none [parts, width]."""
    fold = _fold_of(pairs.vectors, shared)
    heads = np.zeros((_NUM_FOLDS, pairs.width))
    for part in range(_NUM_FOLDS):
        others = (fold[pairs.chosen] != part) & (fold[pairs.rejected] != part)
        if others.any():
            some = Pairs(pairs.vectors, pairs.chosen[others], pairs.rejected[others])
            heads[part] = fit_head(some, precision_of(shared), start=shared[CROWD]).weight
    return heads


def _evidence(pairs: Pairs, shared: Arrays) -> np.ndarray:
    """Log-likelihoods of a user's pairs at each strength, each part by the others [strengths]."""
    fold = _fold_of(pairs.vectors, shared)
    sides = np.stack([fold[pairs.chosen], fold[pairs.rejected]])
    evidence = np.zeros(len(shared["strength"]))
    for part in np.unique(sides.min(axis=0)):
        held = sides.min(axis=0) == part
        known = (sides != part).all(axis=0)
        some = Pairs(pairs.vectors, pairs.chosen[known], pairs.rejected[known])
        for number, strength in enumerate(shared["strength"].tolist()):
            center = shared[_FOLDS][part]
            weight = strength / (1.0 + strength) * center
            if len(some):
                weight = _head(some, shared, strength, center).weight
            evidence[number] += log_sigmoid(margins(pairs.vectors @ weight, pairs)[held]).sum()
    return evidence


def _head(pairs: Pairs, shared: Arrays, strength: float, center: np.ndarray) -> Head:
    """A user's head that is drawn towards a center as strongly as that."""
    mean = strength / (1.0 + strength) * center
    return fit_head(pairs, (1.0 + strength) * precision_of(shared), mean)


def _mean(pairs: Pairs, shared: Arrays, weights: np.ndarray) -> np.ndarray:
    """The mean of a user's heads at each strength, by weights."""
    head = np.zeros(pairs.width)
    for strength, weight in zip(shared["strength"].tolist(), weights.tolist(), strict=True):
        if weight > _LEAST_WEIGHT:
            head += weight * _head(pairs, shared, strength, shared[CROWD]).weight
    return head


def _shares(evidence: np.ndarray) -> np.ndarray:
    """Shares of the strengths that make the users likeliest, from evidence [users, strengths]."""
    shares = np.full(evidence.shape[1], 1.0 / evidence.shape[1])
    for _ in range(_MOST_ROUNDS):
        before, shares = shares, _posterior(evidence, shares).mean(axis=0)
        if np.abs(shares - before).max() < _TOLERANCE:
            break
    return shares


def _posterior(evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities of the strengths, from evidence [..., strengths]."""
    joint = evidence + np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    weights = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
