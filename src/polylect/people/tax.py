"""Unintended effects: what personal models lose on general sets, and a limit to it.

The tax of a user's model is the accuracy of a reference on a general set, minus the model's. The
facet is that of Dong et al. 2025 (arXiv 2502.19158, as noted by others: "personalization tax");
which reference the paper uses was not seen, so that both are given: the pooled model, and the base,
from which nobody's preferences were learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from polylect.base import InputError, Range, generator
from polylect.people.crowd import Seen
from polylect.people.general import General
from polylect.people.methods.heads import fit_head
from polylect.people.methods.model import CROWD, LinearMethod, VectorModel, precision_of
from polylect.people.methods.pairs import Pairs, check_vectors
from polylect.people.resampling import bounds, user_weights, weighted_means

_MOST, _LEAST, _HALVINGS = 10.0, 1e-4, 12


@dataclass(frozen=True)
class Tax:
    """What the users' models of a method lose on a group of a general set.

    Attributes:
        method: name.
        group: ``safety``, say.
        against: ``pooled`` or ``base``.
        accuracy: of the users' models, the mean.
        mean: the tax, mean over users; below 0 the personal models are better.
        lower, upper: of the mean, over users; None where all are equal.
        worst: the largest tax of a user.
        num_users: behind it.
    """

    method: str
    group: str
    against: str
    accuracy: float
    mean: float
    lower: float | None
    upper: float | None
    worst: float
    num_users: int


def measure_tax(
    method: str,
    group: str,
    against: str,
    accuracy: np.ndarray,
    reference: np.ndarray,
    seed: int = 0,
    num_resamples: int = 200,
) -> Tax | None:
    """The tax of a method on a group.

    Args:
        method: name.
        group: name.
        against: name of the reference.
        accuracy: of each user's model; NaN for users without one [users].
        reference: likewise, of the reference [users].
        seed: decides the resamples.
        num_resamples: of the users.

    Returns:
        None where no user has both.
    """
    tax = reference - accuracy
    there = np.isfinite(tax)
    if not there.any():
        return None
    values = weighted_means(user_weights(there, seed, num_resamples), tax[None])
    lower, upper = bounds(values, int(there.sum()), -1.0, 1.0)
    return Tax(method, group, against, float(accuracy[there].mean()), float(values[0]), lower,
               upper, float(tax[there].max()), int(there.sum()))  # fmt: skip


@dataclass(frozen=True)
class Limited:
    """A model whose users' heads were made to remember a guard set.

    Attributes:
        model: like the one that was given; its ``adapt`` does not limit a new user.
        strength: how much a pair of the guard set counts in every head, beside a pair of the
            user's; 0 where nothing was needed.
        before, after: mean tax over users, on the half of the guard set that chose the strength.
    """

    model: VectorModel
    strength: float
    before: float
    after: float


def limit_tax(
    model: VectorModel,
    guard: General,
    seen: Seen,
    share: Annotated[float, Range(0, 1)] = 0.25,
    seed: int = 0,
) -> Limited:
    """Change the users' heads as little as brings their mean tax on a guard set to a share of it.

    Half of the guard's prompts are learned, the other half choose. A head w becomes the mode of
    γ · (log-likelihood of the learned half) − (p / 2) |w′ − w|², p the precision of a head's prior.
    γ, which all users share, is the least for which the mean tax against the pooled head on the
    half that chooses is at most ``share`` of what it was (by halving the interval of its logarithm,
    from 1e-4 to 10). So a head moves where the guard set asks for it and not, as halfway between a
    user and the crowd, everywhere. Where there is no tax, nothing changes. A proposal,
    not from the paper.

    Args:
        model: of a method with a linear head per user (individual, shrinkage, factorized …).
        guard: pairs of which the better side is known.
        seen: its texts, by the encoder that the model was fitted with.
        share: of the mean tax that may stay.
        seed: divides the guard set.

    Raises:
        InputError: a model without heads, vectors of another width, or fewer than two prompts.
    """
    if not isinstance(model.method, LinearMethod) or "head" not in model.method.personal_names:
        hint = "limit individual, shrinkage, factorized, personalized or matching"
        raise InputError(f"{model.method.name} has no head per user", hint)
    check_vectors(seen.vectors, len(model.shared[CROWD]))
    items = np.unique(guard.item)
    if len(items) < 2:
        raise InputError("the guard set has one prompt", "give more: half of them choose")
    learned = generator(seed, "people", "guard").permutation(items)[: len(items) // 2]
    is_learned = np.isin(guard.item, learned)
    vectors = np.asarray(seen.vectors, np.float64)
    lesson, test = guard.take(is_learned), guard.take(~is_learned)
    pairs = Pairs(vectors, lesson.chosen, lesson.rejected)
    difference = vectors[test.chosen] - vectors[test.rejected]
    precision = precision_of(model.shared)
    heads = [arrays["head"][0] for arrays in model.personal if arrays]

    def accuracy(heads: Sequence[np.ndarray]) -> float:
        right = (np.sign(difference @ np.stack(heads, axis=1)) + 1) / 2
        return float(test.accuracy(right.T).mean())

    def taught(strength: float) -> list[np.ndarray]:
        counts = strength * lesson.weight
        return [fit_head(pairs, precision, head, counts).weight for head in heads]

    pooled = accuracy([model.shared[CROWD]])
    before = pooled - accuracy(heads) if heads else 0.0
    if before <= 0 or share == 1:
        return Limited(model, 0.0, before, before)
    low, high, best = np.log(_LEAST), np.log(_MOST), taught(_MOST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        new = taught(float(np.exp(middle)))
        if pooled - accuracy(new) <= share * before:
            high, best = middle, new
        else:
            low = middle
    rest = iter(best)
    personal = tuple({**arrays, "head": next(rest)[None]} if arrays else arrays
                     for arrays in model.personal)  # fmt: skip
    return Limited(replace(model, personal=personal), float(np.exp(high)), before,
                   pooled - accuracy(best))  # fmt: skip
