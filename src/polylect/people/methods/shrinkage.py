"""Empirical Bayes between one head for all and a head per user."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from polylect.base import InputError, Range, generator
from polylect.people.methods.heads import Head, fit_head, log_sigmoid, margins
from polylect.people.methods.held_out import (
    KEYS,
    LEFT_OUT,
    folds_of,
    known_to,
    parts_of,
    text_parts,
)
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
_FACTORS = np.array([0.125, 0.25, 0.5, 1.0, 2.0])
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

    Held-out pairs, not marginal likelihoods, and with texts that neither the user's other pairs
    nor the pooled head beside them learned from (``held_out``), as the texts are that will be
    scored. Where users label the same pairs, the pooled head knows by heart what it would be judged
    by; where a text is in several pairs of a user, the user's own head does; and where tastes
    differ in few directions, marginal likelihoods, which also judge what a user's first pairs say,
    trust the pooled head too long.

    Heads are too sure of new texts, some more than others, which is not to decide between them: a
    component of the mixture is a strength and a factor of the log-odds (1/8 to 2), by which its
    head also counts in the mean. Of n pairs between m < n texts each counts m / n: ratings of m
    texts say no more than m things, however many pairs are made of them.

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
        shared = {**shared, **text_parts(pairs), "strength": strengths}
        shared[_FOLDS] = _fold_heads(pairs, shared)
        parts = [pairs.of(i) for i in range(len(pairs.users))]
        evidence = np.stack([_evidence(_held_out_odds(part, shared), part) for part in parts])
        users = np.arange(len(parts))
        if len(users) > _MOST_USERS:
            drawn = generator(seed, "shrinkage").permutation(len(users))[:_MOST_USERS]
            users = np.sort(drawn)
        shared["shares"] = shares = _shares(evidence[users])
        learned = tuple({"head": _mean(part, shared, _weights(row, shares))[None]}
                        for part, row in zip(parts, evidence, strict=True))  # fmt: skip
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's head."""
        strength = model.shared["strength"]
        if math.isinf(float(strength[0])):
            return {"head": model.shared[CROWD][None]}
        weights = np.ones(1)
        if len(strength) > 1:
            if KEYS not in model.shared:
                raise InputError("the model is of an earlier version of shrinkage", "fit it again")
            evidence = _evidence(_held_out_odds(pairs, model.shared), pairs)
            weights = _weights(evidence, model.shared["shares"])
        return {"head": _mean(pairs, model.shared, weights)[None]}


def _fold_heads(pairs: CrowdPairs, shared: Arrays) -> np.ndarray:
    """For each fold, the head of the pairs without a text of it; 0 of none [folds, width]."""
    part = parts_of(pairs, shared)
    heads = np.zeros((len(LEFT_OUT), pairs.width))
    for fold in range(len(LEFT_OUT)):
        known = known_to(fold, part, pairs)
        if known.any():
            some = Pairs(pairs.vectors, pairs.chosen[known], pairs.rejected[known])
            heads[fold] = fit_head(some, precision_of(shared), start=shared[CROWD]).weight
    return heads


def _held_out_odds(pairs: Pairs, shared: Arrays) -> np.ndarray:
    """Log-odds of a user's pairs at each strength, each held out [strengths, pairs]."""
    part = parts_of(pairs, shared)
    folds = folds_of(part, pairs)
    odds = np.zeros((len(shared["strength"]), len(pairs)))
    for fold in np.unique(folds).tolist():
        held, known = folds == fold, known_to(fold, part, pairs)
        some = Pairs(pairs.vectors, pairs.chosen[known], pairs.rejected[known])
        center, gram = shared[_FOLDS][fold], _gram(some)
        for number, strength in enumerate(shared["strength"].tolist()):
            weight = strength / (1.0 + strength) * center
            if len(some):
                weight = _head(some, shared, strength, center, gram).weight
            odds[number, held] = margins(pairs.vectors @ weight, pairs)[held]
    return odds


def _head(
    pairs: Pairs, shared: Arrays, strength: float, center: np.ndarray, gram: np.ndarray | None
) -> Head:
    """A user's head that is drawn towards a center as strongly as that."""
    mean = strength / (1.0 + strength) * center
    return fit_head(pairs, (1.0 + strength) * precision_of(shared), mean, gram=gram)


def _gram(pairs: Pairs) -> np.ndarray | None:
    """What the heads at all strengths have in common, where they are fitted by pairs."""
    if len(pairs) >= pairs.width:
        return None
    differences = pairs.differences()
    return differences @ differences.T


def _mean(pairs: Pairs, shared: Arrays, weights: np.ndarray) -> np.ndarray:
    """The mean of a user's heads at each strength, by weights."""
    head, gram = np.zeros(pairs.width), _gram(pairs)
    for strength, weight in zip(shared["strength"].tolist(), weights.tolist(), strict=True):
        if weight > _LEAST_WEIGHT:
            head += weight * _head(pairs, shared, strength, shared[CROWD], gram).weight
    return head


def _evidence(odds: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Log-likelihoods of a user's held-out pairs at each strength and factor [components]."""
    weight = min(1.0, len(np.unique([pairs.chosen, pairs.rejected])) / len(pairs))
    return weight * log_sigmoid(_FACTORS[:, None] * odds[:, None]).sum(axis=2).ravel()


def _weights(evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """How much the head at each strength counts in a user's head [strengths]."""
    return _posterior(evidence, shares).reshape(-1, len(_FACTORS)) @ _FACTORS


def _shares(evidence: np.ndarray) -> np.ndarray:
    """Shares of the strengths that make the users likeliest, from evidence [users, strengths]."""
    shares = np.full(evidence.shape[1], 1.0 / evidence.shape[1])
    for _ in range(_MOST_ROUNDS):
        before, shares = shares, _posterior(evidence, shares).mean(axis=0)
        if np.abs(shares - before).max() < _TOLERANCE:
            break
    return shares


def _posterior(evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities of the components, from evidence [..., components]."""
    joint = evidence + np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    weights = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
