"""Preferences as packed rows: which sequences an objective needs, and their log-probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polylect.models import answer_log_probabilities, forward_hidden, head_of, scored_positions
from polylect.text import Segment, TokenBatch, pack
from polylect.training.encode import PreferenceTokens

PLAIN = ("chosen", "rejected")
SELF_IMPROVING = (
    "chosen", "rejected", "chosen_after_chosen", "rejected_after_chosen",
    "chosen_after_rejected", "rejected_after_rejected",
)  # fmt: skip


def pack_pairs(pairs: Sequence[PreferenceTokens], names: Sequence[str]) -> TokenBatch:
    """One row in which every prompt and every answer that is continued stands once.

    ``items`` says which sequence a segment is: pair · len(names) + its place among the names; -1
    where nothing is learned (prompts, and what asks for an improvement).

    Args:
        pairs: of one pass.
        names: which sequences: ``PLAIN`` or ``SELF_IMPROVING``.
    """
    segments: list[Segment] = []

    def add(ids: np.ndarray, parent: int, language: str, item: int = -1) -> int:
        weight = np.full(len(ids), float(item >= 0), np.float32)
        segments.append(Segment(ids, weight, language, parent, item))
        return len(segments) - 1

    for number, pair in enumerate(pairs):
        first = number * len(names)
        root = add(pair.prompt, -1, pair.language)
        for side, ids in enumerate((pair.chosen, pair.rejected)):
            answer = add(ids, root, pair.language, first + side)
            if names is SELF_IMPROVING:
                ask = add(pair.refine[side], answer, pair.language)
                add(pair.chosen, ask, pair.language, first + 2 + 2 * side)
                add(pair.rejected, ask, pair.language, first + 3 + 2 * side)
    return pack(segments)


def pack_mismatched(
    pairs: Sequence[PreferenceTokens], others: Sequence[PreferenceTokens]
) -> TokenBatch:
    """One row of every prompt with the preferred answer of another pair: KTO's baseline."""
    segments: list[Segment] = []
    for number, (pair, other) in enumerate(zip(pairs, others, strict=True)):
        blank = np.zeros(len(pair.prompt), np.float32)
        segments.append(Segment(pair.prompt, blank, pair.language))
        weight = np.ones(len(other.chosen), np.float32)
        segments.append(Segment(other.chosen, weight, pair.language, len(segments) - 1, number))
    return pack(segments)


def sequence_log_probabilities(model: Any, batch: TokenBatch, num_sequences: int) -> Tensor:
    """Log-probability of every sequence of a row, summed over its tokens, nats [num_sequences].

    With gradient where it is enabled.
    """
    before, targets, _ = scored_positions(batch)
    hidden = forward_hidden(model, batch)
    device = hidden.device
    # Rows that predict several tokens (the last of a prompt) are gathered once for each.
    values = answer_log_probabilities(hidden[before.to(device)], head_of(model), targets.to(device))
    owner = np.array(batch.items)[batch.segment_of_token()[batch.loss_weight > 0]]
    total = torch.zeros(num_sequences, dtype=values.dtype, device=device)
    return total.index_add(0, torch.from_numpy(owner).to(device), values)


def pack_groups(
    prompts: Sequence[np.ndarray], answers: Sequence[Sequence[np.ndarray]], languages: Sequence[str]
) -> TokenBatch:
    """One row of prompts, each once, with all their answers; ``items`` number the answers in order.

    Args:
        prompts: tokens of each.
        answers: of each prompt, any number.
        languages: tag of each.
    """  # fmt: skip
    segments: list[Segment] = []
    number = 0
    for prompt, own, language in zip(prompts, answers, languages, strict=True):
        root = len(segments)
        segments.append(Segment(prompt, np.zeros(len(prompt), np.float32), language, -1, -1))
        for ids in own:
            segments.append(Segment(ids, np.ones(len(ids), np.float32), language, root, number))
            number += 1
    return pack(segments)


def sequence_rewards(model: Any, batch: TokenBatch, num_sequences: int) -> Tensor:
    """A reward model's reward of every sequence of a row, at its last token, [num_sequences].

    With gradient where it is enabled.
    """
    ends = np.cumsum(batch.lengths) - 1
    last = np.zeros(num_sequences, np.int64)
    for item, end in zip(batch.items, ends, strict=True):
        if item >= 0:
            last[item] = end
    hidden = forward_hidden(model, batch)
    return model.score(hidden[torch.from_numpy(last).to(hidden.device)])[:, 0]
