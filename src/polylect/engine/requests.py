"""What an engine is asked and what it answers."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely is a continuation after a context?

    Attributes:
        context: text before; may be empty.
        continuation: text that follows, its leading space included; not empty.
        chat: the context is a rendered chat: what spells a special token in it is that token, and
            no BOS is added.
    """

    context: str
    continuation: str
    chat: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """Answers to likelihood requests, in their order.

    Attributes:
        log_likelihood: nats, float64 [N]; sum over the continuation's tokens.
        num_tokens: tokens of the continuation, int64 [N].
        greedy: whether every token was the most likely one, bool [N].
        truncated: whether the context was cut, bool [N].
    """

    log_likelihood: np.ndarray
    num_tokens: np.ndarray
    greedy: np.ndarray
    truncated: np.ndarray

    def __len__(self) -> int:
        return len(self.log_likelihood)
