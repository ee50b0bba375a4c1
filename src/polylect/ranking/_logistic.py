"""Choice probabilities of logistic models."""

import numpy as np

from polylect.ranking.counts import FloatArray


def expit(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(−x)) without overflow: scipy's, imported on first use."""
    from scipy.special import expit as logistic

    return logistic(x)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities along the last axis."""
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)
