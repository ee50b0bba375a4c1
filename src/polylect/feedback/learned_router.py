"""The learned router: from a prompt's vector and language to a distribution over teachers.

A multinomial logistic model, trained by the KL divergence of its distribution from the one that the
rewards give (softmax of rewards at a temperature), as in "Multilingual Arbitrage" (arXiv
2408.14960); the authors' router is a small language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import one_blas_thread


@dataclass(frozen=True)
class LearnedRouter:
    """A trained router.

    Attributes:
        weights: [features, teachers].
        languages: tags that it was trained on, in the order of their features.
    """

    weights: np.ndarray
    languages: tuple[str, ...]

    def probabilities(self, vectors: np.ndarray, languages: Sequence[str]) -> np.ndarray:
        """Distribution over the teachers [prompts, teachers]; a new language has no feature."""
        return softmax(router_features(vectors, languages, self.languages) @ self.weights)


def router_features(
    vectors: np.ndarray, languages: Sequence[str], known: Sequence[str]
) -> np.ndarray:
    """A prompt's vector, one feature per language, and a constant, float64 [prompts, features]."""
    tags = np.array(languages, object)[:, None] == np.array(known, object)[None, :]
    constant = np.ones((len(vectors), 1))
    return np.hstack([vectors.astype(np.float64), tags.astype(np.float64), constant])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Distributions [rows, classes]; −∞ has none of the mass."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def reward_distribution(rewards: np.ndarray, temperature: float) -> np.ndarray:
    """Distributions over teachers: softmax of rewards [prompts, teachers]; none for NaN.

    The temperature is in units of the rewards' standard deviation within a prompt, over all
    prompts, so that it means the same for a reward of any scale.
    """
    within = rewards - np.nanmean(rewards, 1, keepdims=True)
    scale = float(np.sqrt(np.nanmean(within**2)))
    logits = np.where(np.isnan(within), -np.inf, within / ((scale or 1.0) * temperature))
    return softmax(logits)


def kl_loss(
    weights: np.ndarray, features: np.ndarray, targets: np.ndarray, present: np.ndarray,
    penalty: float,
) -> tuple[float, np.ndarray]:  # fmt: skip
    """Mean KL(target ‖ router) with half the penalty times the squared weights, and its gradient.

    Args:
        weights: [features, teachers].
        features: [prompts, features].
        targets: distributions [prompts, teachers].
        present: whether a teacher answered the prompt; the router's mass is shared among those.
        penalty: of all weights.
    """
    logits = np.where(present, features @ weights, -np.inf)
    shifted = logits - logits.max(1, keepdims=True)
    log_q = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    positive = targets > 0
    terms = np.zeros_like(targets)
    terms[positive] = targets[positive] * (np.log(targets[positive]) - log_q[positive])
    loss = terms.sum() / len(targets) + 0.5 * penalty * float((weights**2).sum())
    gradient = features.T @ (np.exp(log_q) - targets) / len(targets) + penalty * weights
    return float(loss), gradient


def train_router(
    vectors: np.ndarray, languages: Sequence[str], rewards: np.ndarray, temperature: float,
    penalty: float,
) -> LearnedRouter:  # fmt: skip
    """The router of least loss, by L-BFGS from zero; the same numbers give the same weights.

    Args:
        vectors: of the prompts [prompts, width].
        languages: their tags.
        rewards: of the teachers, NaN where one did not answer [prompts, teachers].
        temperature: see ``reward_distribution``.
        penalty: see ``kl_loss``.
    """
    from scipy.optimize import minimize

    known = tuple(sorted(set(languages)))
    features = router_features(vectors, languages, known)
    targets, present = reward_distribution(rewards, temperature), ~np.isnan(rewards)
    shape = (features.shape[1], rewards.shape[1])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = kl_loss(flat.reshape(shape), features, targets, present, penalty)
        return value, gradient.ravel()

    with one_blas_thread():
        result = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B",
                          options={"maxiter": 500})  # fmt: skip
    return LearnedRouter(result.x.reshape(shape), known)
