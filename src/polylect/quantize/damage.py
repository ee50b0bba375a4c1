"""What quantising does to every language: layer by layer, and in the model's own predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from polylect.models.head import Head

_ROWS = 256
"""Hidden states whose logits are held at a time, of both models."""


@dataclass(frozen=True)
class Damage:
    """The damage in one language, on text that did not calibrate.

    Attributes:
        language: tag.
        layers: squared error of every layer's output over its squared size, in order.
        divergence: Kullback–Leibler divergence of the quantised predictions from the full ones,
            bits per token.
        tokens: how many predictions.
    """

    language: str
    layers: tuple[float, ...]
    divergence: float
    tokens: int


@dataclass
class Streams:
    """Text on its way through the full-precision layers and, beside it, the quantised ones.

    Attributes:
        languages: tag of each row.
        full: [rows, tokens, hidden].
        quantised: likewise.
        errors: by language, of every layer so far.
    """

    languages: tuple[str, ...]
    full: torch.Tensor
    quantised: torch.Tensor
    errors: dict[str, list[float]] = field(default_factory=dict)

    def note(self) -> None:
        """Add the error of the layer that both have just passed."""
        for tag in sorted(set(self.languages)):
            rows = [i for i, one in enumerate(self.languages) if one == tag]
            full, other = self.full[rows].double(), self.quantised[rows].double()
            error = float((other - full).square().sum() / full.square().sum().clamp(min=1e-30))
            self.errors.setdefault(tag, []).append(error)


@torch.no_grad()
def divergences(
    languages: Sequence[str],
    full: torch.Tensor,
    quantised: torch.Tensor,
    head: Head,
) -> dict[str, tuple[float, int]]:
    """Bits per token by which quantised predictions diverge, and tokens, by language.

    Args:
        languages: tag of each row.
        full: last hidden states after the final norm, [rows, tokens, hidden].
        quantised: likewise.
        head: of both.
    """
    found: dict[str, tuple[float, int]] = {}
    for tag, one, other in zip(languages, full, quantised, strict=True):
        total = 0.0
        for start in range(0, len(one), _ROWS):
            p = torch.log_softmax(head.logits(one[start : start + _ROWS]).float(), dim=1)
            q = torch.log_softmax(head.logits(other[start : start + _ROWS]).float(), dim=1)
            total += float((p.exp() * (p - q)).sum(dim=1).double().sum())
        before = found.get(tag, (0.0, 0))
        found[tag] = (before[0] + total, before[1] + len(one))
    bits = torch.log(torch.tensor(2.0)).item()
    return {tag: (total / bits / num, num) for tag, (total, num) in found.items()}


def damage_of(streams: Streams, head: Head, norm: Any) -> list[Damage]:
    """The damage by language, the largest divergence first."""
    full, other = (norm(one) if norm is not None else one
                   for one in (streams.full, streams.quantised))  # fmt: skip
    told = divergences(streams.languages, full, other, head)
    rows = [Damage(tag, tuple(streams.errors[tag]), bits, num) for tag, (bits, num) in told.items()]
    return sorted(rows, key=lambda one: (-one.divergence, one.language))


def to_json(rows: Sequence[Damage]) -> list[Mapping[str, Any]]:
    """Plain values."""
    return [
        {"language": one.language, "divergence_bits": one.divergence, "tokens": one.tokens,
         "layer_errors": list(one.layers)}
        for one in rows
    ]  # fmt: skip
