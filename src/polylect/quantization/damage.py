"""The damage of quantization by language: per layer, and in the model's predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from polylect.models import Head

_ROWS, _TOKENS = 1024, 2048
"""Rows and vocabulary entries of one block of logits, for both models."""


@dataclass(frozen=True)
class Damage:
    """The damage in one language, on text not used for calibration.

    Attributes:
        language: tag.
        layers: relative squared error of every layer's output, in order.
        divergence: Kullback–Leibler divergence of the quantized from the full-precision
            predictions, bits per token.
        tokens: number of predictions.
    """

    language: str
    layers: tuple[float, ...]
    divergence: float
    tokens: int


@dataclass
class Streams:
    """Evaluation rows passing through the full-precision and the quantized layers.

    Attributes:
        languages: tag of each row.
        full: full-precision hidden states, [rows, tokens, hidden].
        quantized: quantized hidden states, same shape.
        errors: relative squared error of every layer so far, by language.
    """

    languages: tuple[str, ...]
    full: torch.Tensor
    quantized: torch.Tensor
    errors: dict[str, list[float]] = field(default_factory=dict)

    def note(self) -> None:
        """Record the error of the layer that both streams have just passed."""
        for tag in sorted(set(self.languages)):
            rows = [i for i, language in enumerate(self.languages) if language == tag]
            full, other = self.full[rows].double(), self.quantized[rows].double()
            error = float((other - full).square().sum() / full.square().sum().clamp(min=1e-30))
            self.errors.setdefault(tag, []).append(error)


@torch.no_grad()
def divergences(
    languages: Sequence[str],
    full: torch.Tensor,
    quantized: torch.Tensor,
    head: Head,
) -> dict[str, tuple[float, int]]:
    """Divergence in bits per token, and number of tokens, by language.

    Args:
        languages: tag of each row.
        full: last hidden states after the final norm, [rows, tokens, hidden].
        quantized: same for the quantized model.
        head: head of both models.
    """
    totals: dict[str, tuple[float, int]] = {}
    width = full.shape[-1]
    parts = zip(full.reshape(-1, width).split(_ROWS), quantized.reshape(-1, width).split(_ROWS),
                strict=True)  # fmt: skip
    nats = torch.cat([_divergence(ours, other, head) for ours, other in parts])
    for tag, row_nats in zip(languages, nats.view(len(languages), -1), strict=True):
        total, num = totals.get(tag, (0.0, 0))
        totals[tag] = (total + float(row_nats.sum()), num + len(row_nats))
    return {tag: (total / math.log(2.0) / num, num) for tag, (total, num) in totals.items()}


def _divergence(full: torch.Tensor, quantized: torch.Tensor, head: Head) -> torch.Tensor:
    """Divergence of each row's prediction in nats, float64 [rows], in blocks of the vocabulary.

    With the sums S = Σ e^(p−m) and T = Σ e^(p−m) (p − q) over the vocabulary, m the largest p so
    far, it is T/S − log Σ e^p + log Σ e^q.
    """
    most, most_other = (full.new_full((len(full),), -math.inf, dtype=torch.float64)
                        for _ in range(2))  # fmt: skip
    total, total_other, apart = (torch.zeros_like(most) for _ in range(3))
    for start in range(0, len(head.weight), _TOKENS):
        p = head.logits(full, start, start + _TOKENS).float()
        q = head.logits(quantized, start, start + _TOKENS).float()
        raised = torch.maximum(most, p.amax(dim=1).double())
        weights = (p - raised.float()[:, None]).exp_()
        shrunk = (most - raised).exp_()
        total = total * shrunk + weights.sum(dim=1, dtype=torch.float64)
        apart = apart * shrunk + (weights * (p - q)).sum(dim=1, dtype=torch.float64)
        most = raised
        raised = torch.maximum(most_other, q.amax(dim=1).double())
        total_other *= (most_other - raised).exp_()
        total_other += (q - raised.float()[:, None]).exp_().sum(dim=1, dtype=torch.float64)
        most_other = raised
    return apart / total - (most + total.log()) + (most_other + total_other.log())


def damage_of(streams: Streams, head: Head, norm: Any) -> list[Damage]:
    """Damage by language, largest divergence first."""
    full, other = (norm(hidden) if norm is not None else hidden
                   for hidden in (streams.full, streams.quantized))  # fmt: skip
    by_language = divergences(streams.languages, full, other, head)
    rows = [
        Damage(tag, tuple(streams.errors[tag]), bits, num)
        for tag, (bits, num) in by_language.items()
    ]
    return sorted(rows, key=lambda damage: (-damage.divergence, damage.language))


def to_json(rows: Sequence[Damage]) -> list[Mapping[str, Any]]:
    """The damage as JSON values."""
    return [
        {"language": damage.language, "divergence_bits": damage.divergence, "tokens": damage.tokens,
         "layer_errors": list(damage.layers)}
        for damage in rows
    ]  # fmt: skip
