"""Groups of users with a head each, and one head that serves the worst-served group best."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from polylect.base import Count, generator
from polylect.people.methods.heads import fit_head, log_sigmoid, margins
from polylect.people.methods.model import (
    CROWD,
    Arrays,
    LinearMethod,
    VectorModel,
    precision_of,
)
from polylect.people.methods.pairs import CrowdPairs, Pairs

_SHORT, _LONG = 5, 100
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class MaxMin(LinearMethod):
    """Heads of groups by expectation–maximization, and the head whose worst group loses least.

    The groups: a mixture of Bradley–Terry models, each user of one group (Dempster et al. 1977).
    The compromise w minimizes the largest of the groups' mean losses, plus the ridge penalty over
    the number of pairs: MaxMin-RLHF's egalitarian objective (Chakraborty et al. 2024,
    arXiv 2402.08925) for the reward itself, where the paper trains a policy. A user who is not
    known, or has no pairs, gets the compromise: the user's group is not known.

    Attributes:
        num_groups: of users; at most as many as there are users.
        serve: what known users get: the head of their most probable ``group``, or the
            ``compromise`` that all share.
        num_starts: starts from random users' heads; that of the largest likelihood is continued.
    """

    name: ClassVar[str] = "maxmin"

    num_groups: Count = 4
    serve: Literal["group", "compromise"] = "group"
    num_starts: Count = 4

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """Groups, compromise, and everyone's group."""
        num_groups = min(self.num_groups, len(pairs.users))
        draw = generator(seed, "maxmin")
        precision = precision_of(shared)
        starts = []
        for _ in range(self.num_starts):
            users = draw.permutation(len(pairs.users))[:num_groups]
            heads = np.stack([fit_head(pairs.of(int(i)), precision).weight for i in users])
            shares = np.full(num_groups, 1.0 / num_groups)
            starts.append(_iterate(pairs, heads, shares, precision, _SHORT))
        heads, shares, _ = max(starts, key=lambda start: start[2])
        heads, shares, _ = _iterate(pairs, heads, shares, precision, _LONG)
        members, _ = _memberships(pairs, heads, shares)
        compromise = _compromise(pairs, members, shared[CROWD], precision)
        shared = {**shared, CROWD: compromise, "groups": heads, "shares": shares}
        if self.serve == "compromise":
            learned = tuple({"head": compromise[None]} for _ in pairs.users)
        else:
            learned = tuple({"head": heads[i][None]} for i in members.argmax(axis=1))
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The head of the most probable group, or the compromise."""
        if self.serve == "compromise":
            return {"head": model.shared[CROWD][None]}
        heads, shares = model.shared["groups"], model.shared["shares"]
        likelihood = log_sigmoid(margins(pairs.vectors @ heads.T, pairs)).sum(axis=0)
        return {"head": heads[np.argmax(likelihood + _log(shares))][None]}


def _memberships(
    pairs: CrowdPairs, heads: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, float]:
    """Probability of each group for each user [users, groups], and the log-likelihood."""
    from scipy.special import logsumexp

    per_pair = log_sigmoid(margins(pairs.vectors @ heads.T, pairs))
    starts = np.searchsorted(pairs.user, np.arange(len(pairs.users)))
    joint = np.add.reduceat(per_pair, starts, axis=0) + _log(shares)
    total = logsumexp(joint, axis=1)
    return np.exp(joint - total[:, None]), float(total.sum())


def _iterate(
    pairs: CrowdPairs, heads: np.ndarray, shares: np.ndarray, precision: float, most: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Heads, shares of the groups and penalized log-likelihood after some iterations."""
    value = -np.inf
    for _ in range(most):
        members, likelihood = _memberships(pairs, heads, shares)
        before, value = value, likelihood - 0.5 * precision * float(np.square(heads).sum())
        if value - before <= _TOLERANCE * abs(value):
            break
        shares = members.mean(axis=0)
        heads = np.stack([
            fit_head(pairs, precision, share=members[pairs.user, group], start=heads[group]).weight
            for group in range(len(heads))
        ])  # fmt: skip
    return heads, shares, value


def _compromise(
    pairs: CrowdPairs, members: np.ndarray, start: np.ndarray, precision: float
) -> np.ndarray:
    """The head whose worst group loses least: weights of the groups that make the least loss most.

    The dual: the minimum over heads is concave in the weights, and its slope is the groups' losses.
    """
    from scipy.optimize import minimize

    of_pair = members[pairs.user]
    sizes = of_pair.sum(axis=0)
    kept = sizes >= 1.0
    of_pair, sizes = of_pair[:, kept], sizes[kept]
    num = len(sizes)
    at = [start]

    def negative(weights: np.ndarray) -> tuple[float, np.ndarray]:
        share = of_pair @ (weights * len(pairs) / sizes)
        at[0] = fit_head(pairs, precision, share=np.maximum(share, 0.0), start=at[0]).weight
        losses = -log_sigmoid(margins(pairs.vectors @ at[0], pairs)) @ of_pair / sizes
        penalty = 0.5 * precision / len(pairs) * float(at[0] @ at[0])
        return -float(weights @ losses) - penalty, -losses

    best = minimize(
        negative, np.full(num, 1.0 / num), jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * num,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1.0, "jac": lambda _: np.ones(num)},
        options={"ftol": 1e-9, "maxiter": 100},
    )  # fmt: skip
    weights = np.clip(best.x, 0.0, 1.0)
    negative(weights / weights.sum())
    return at[0]


def _log(shares: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(shares, np.finfo(np.float64).tiny))
