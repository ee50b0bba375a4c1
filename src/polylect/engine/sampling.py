"""Choosing the next token: a pure function of the logits, the settings and the request."""

import numpy as np

from polylect.base import generator
from polylect.engine.config import Sampling

LENGTH = "truncated: answer reached max_new_tokens"
EMPTY = "empty: answer without a character"


def probabilities(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """The distribution of the next token after all filters, float64 [vocabulary].

    Args:
        logits: of the next token, [vocabulary].
        sampling: with a temperature above 0.
    """
    scaled = logits.astype(np.float64) / sampling.temperature
    p = np.exp(scaled - scaled.max())
    if 0 < sampling.top_k < len(p):
        p[p < np.partition(p, -sampling.top_k)[-sampling.top_k]] = 0.0
    p /= p.sum()
    if sampling.top_p < 1:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= sampling.top_p]] = 0.0
    p[p < sampling.min_p * p.max()] = 0.0
    return p / p.sum()


def choose(logits: np.ndarray, sampling: Sampling, request: str, sample: int, step: int) -> int:
    """The next token.

    One uniform number, derived from seed, request, sample and step alone (Philox), is looked up in
    the cumulative probabilities.

    Args:
        logits: [vocabulary].
        sampling: temperature and filters.
        request: name of the request.
        sample: index of the sample.
        step: index of the token.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    ladder = np.cumsum(probabilities(logits, sampling))
    uniform = generator(sampling.seed, "sample", request, sample, step).random()
    # The last token with a probability above 0: rounding must not select a later one.
    last = int(np.searchsorted(ladder, ladder[-1], side="left"))
    return min(int(np.searchsorted(ladder, uniform * ladder[-1], side="right")), last)


def log_probability(logits: np.ndarray, token: int) -> float:
    """Log-probability of a token under the model, before any filter, in nats."""
    precise = logits.astype(np.float64)
    largest = precise.max()
    return float(precise[token] - largest - np.log(np.exp(precise - largest).sum()))
