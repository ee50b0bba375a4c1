"""Likelihood requests and their scores."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A request for the log-likelihood of a continuation after a context.

    Attributes:
        context: text before; may be empty.
        continuation: text that follows, with its leading space; not empty.
        chat: the context is a rendered chat: special tokens in it are recognized, and no BOS is
            added.
        where: the item that asks, for errors; empty for none.
    """

    context: str
    continuation: str
    chat: bool = False
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of likelihood requests, in their order.

    Attributes:
        log_likelihood: nats, float64 [N]; sum over the continuation's tokens.
        num_tokens: tokens of the continuation, int64 [N].
        greedy: whether every token was the most likely one, bool [N].
        truncated: whether the context was truncated, bool [N].
    """

    log_likelihood: np.ndarray
    num_tokens: np.ndarray
    greedy: np.ndarray
    truncated: np.ndarray

    def __len__(self) -> int:
        return len(self.log_likelihood)
