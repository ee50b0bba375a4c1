"""Packed rows of preferences and samples, and the log-probabilities of their sequences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from polylect.models import answer_log_probabilities, forward_hidden, head_of, scored_positions
from polylect.text import Segment, TokenBatch, pack
from polylect.training.encode import PreferenceTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


PLAIN = ("chosen", "rejected")
SELF_IMPROVING = (
    "chosen", "rejected", "chosen_after_chosen", "rejected_after_chosen",
    "chosen_after_rejected", "rejected_after_rejected",
)  # fmt: skip


def pack_pairs(pairs: Sequence[PreferenceTokens], names: Sequence[str]) -> TokenBatch:
    """One packed row in which prompts and answers that are continued stand once.

    ``items`` holds the sequence of each segment: pair · len(names) + index of the name; -1 where
    nothing is learned (prompts and refine prompts).

    Args:
        pairs: of one micro-batch.
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
            if names == SELF_IMPROVING:
                parents = {"answer": answer, "prompt": root, "nothing": -1}
                context = pair.refine[side]
                refine = add(context.ids, parents[context.shared], pair.language)
                add(pair.chosen, refine, pair.language, first + 2 + 2 * side)
                add(pair.rejected, refine, pair.language, first + 3 + 2 * side)
    return pack(segments)


def pack_mismatched(
    pairs: Sequence[PreferenceTokens], others: Sequence[PreferenceTokens]
) -> TokenBatch:
    """One packed row of prompts, each with another pair's chosen answer (KTO's baseline)."""
    segments: list[Segment] = []
    for number, (pair, other) in enumerate(zip(pairs, others, strict=True)):
        blank = np.zeros(len(pair.prompt), np.float32)
        segments.append(Segment(pair.prompt, blank, pair.language))
        weight = np.ones(len(other.chosen), np.float32)
        segments.append(Segment(other.chosen, weight, pair.language, len(segments) - 1, number))
    return pack(segments)


def sequence_log_probabilities(
    model: "PreTrainedModel", batch: TokenBatch, num_sequences: int
) -> Tensor:
    """Log-probability of every sequence of a packed row, summed over its tokens, nats [S]."""
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
    """One packed row of prompts with all their answers; ``items`` number the answers in order.

    Args:
        prompts: tokens of each.
        answers: of each prompt, any number.
        languages: tag of each.
    """  # fmt: skip
    segments: list[Segment] = []
    number = 0
    for prompt, prompt_answers, language in zip(prompts, answers, languages, strict=True):
        root = len(segments)
        segments.append(Segment(prompt, np.zeros(len(prompt), np.float32), language, -1, -1))
        for ids in prompt_answers:
            segments.append(Segment(ids, np.ones(len(ids), np.float32), language, root, number))
            number += 1
    return pack(segments)


def sequence_rewards(model: "PreTrainedModel", batch: TokenBatch, num_sequences: int) -> Tensor:
    """A reward model's reward of every sequence of a packed row, at its last token, [S]."""
    return model.get_submodule("score")(last_hidden(model, batch, num_sequences))[:, 0]


def last_hidden(model: "PreTrainedModel", batch: TokenBatch, num_sequences: int) -> Tensor:
    """Hidden states at the last token of every sequence of a packed row, [S, hidden]."""
    ends = np.cumsum(batch.lengths) - 1
    last = np.zeros(num_sequences, np.int64)
    for item, end in zip(batch.items, ends, strict=True):
        if item >= 0:
            last[item] = end
    hidden = forward_hidden(model, batch)
    return hidden[torch.from_numpy(last).to(hidden.device)]
