"""Metrics of pairs, and of a step: means over its examples, of all and by language."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polylect.training.config import Objective
from polylect.training.encode import PreferenceTokens
from polylect.training.implicit_rewards import implicit_rewards


def batch_means(rows: Sequence[Mapping[str, Any]], unit: str = "pairs") -> dict[str, Any]:
    """Means of every number of the rows, their count under ``unit``, and both ``by_language``.

    Example:
        >>> batch_means([{"language": "de", "loss": 1.0}, {"language": "tr", "loss": 3.0}])
        {'loss': 2.0, 'pairs': 2, 'by_language': {'de': {'loss': 1.0, 'pairs': 1}, \
'tr': {'loss': 3.0, 'pairs': 1}}}

    Args:
        rows: at least one; each with ``language`` and the same numbers, of which None is unknown:
            a mean is of those that are known, and left out where none is.
        unit: what a row is.
    """
    tags = sorted({row["language"] for row in rows})
    return {
        **_means(rows, unit),
        "by_language": {
            tag: _means([row for row in rows if row["language"] == tag], unit) for tag in tags
        },
    }


def _means(rows: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    keys = [key for key in rows[0] if key != "language"]
    known = {key: [row[key] for row in rows if row[key] is not None] for key in keys}
    means = {key: float(np.mean(values)) for key, values in known.items() if values}
    return means | {unit: len(rows)}


def pair_metrics(
    objective: Objective,
    beta: float,
    policy: Tensor,
    ratios: Tensor,
    loss: Tensor,
    pairs: Sequence[PreferenceTokens],
) -> list[dict[str, Any]]:
    """Metrics of every pair: accuracy and margin are those of the objective's own reward.

    Args:
        objective: of the loss.
        beta: the KL coefficient.
        policy: log-probabilities of its sequences [N, S], nats.
        ratios: the same minus the reference's [N, S].
        loss: of every pair [N].
        pairs: the pairs [N].
    """
    policy, ratios, loss = policy.detach().double(), ratios.detach().double(), loss.detach()
    rewards = implicit_rewards(objective, beta, policy, ratios, answer_lengths(pairs).to(policy))
    # Without a reference there is no ratio to it.
    name, values = ("log_ratio", ratios) if objective != "simpo" else ("log_probability", policy)
    rows = zip(pairs, rewards.tolist(), values[:, :2].tolist(), loss.tolist(), strict=True)
    return [
        {
            "language": pair.language,
            "loss": pair_loss,
            # Before the first step both ratios are 0: a tie is half right, as for rewards.
            "accuracy": float(better > worse) + 0.5 * float(better == worse),
            "margin": better - worse,
            "reward_chosen": better,
            "reward_rejected": worse,
            f"{name}_chosen": chosen,
            f"{name}_rejected": rejected,
            "chosen_tokens": len(pair.chosen),
            "rejected_tokens": len(pair.rejected),
        }
        for pair, (better, worse), (chosen, rejected), pair_loss in rows
    ]


def answer_lengths(pairs: Sequence[PreferenceTokens]) -> Tensor:
    """Trained tokens of both answers [N, 2]."""
    return torch.tensor([[len(pair.chosen), len(pair.rejected)] for pair in pairs])
