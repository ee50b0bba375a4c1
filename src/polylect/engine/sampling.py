"""Choosing the next token: a pure function of the logits, the settings and the request."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    NumSamples,
    Range,
    Seed,
    Share,
    Verbatim,
    check_settings,
    generator,
)

LENGTH = "truncated: answer reached max_new_tokens"
EMPTY = "empty: answer without a character"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are generated.

    The filters apply in the order of transformers: temperature, top_k, top_p, min_p.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        temperature: divides the logits; 0 takes the most likely token, the first of equal ones.
        top_k: keep the k most likely tokens and their equals; 0 keeps all.
        top_p: keep the fewest most likely tokens whose probability reaches this (nucleus).
        min_p: keep tokens at least this fraction as likely as the most likely one.
        stop: texts before which an answer ends, wherever tokens border.
        num_samples: number of answers to every prompt.
        seed: seed of the sampling; every prompt and answer has a stream of its own.
    """

    max_new_tokens: Count = 256
    temperature: NonNegative = 0.0
    top_k: CountOrZero = 0
    top_p: Annotated[float, Range(above=0, at_most=1)] = 1.0
    min_p: Share = 0.0
    stop: Annotated[tuple[str, ...], Verbatim()] = ()
    num_samples: NumSamples = 1
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a number out of range, or an empty stop string.
        """
        check_settings(self)
        if "" in self.stop:
            raise InputError("an empty stop string", "leave it out")


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
