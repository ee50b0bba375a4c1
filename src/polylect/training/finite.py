"""Weights that are not finite are never written: not into a checkpoint, nor into a saved state."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from polylect.base import PolylectError
from polylect.models import forward_hidden, given_experts, is_oracle
from polylect.text import Segment, pack
from polylect.training.mesh import full

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_finite(
    tensors: Mapping[str, Tensor], num_updates: int, learning_rate: float = 0.0
) -> None:
    """Refuse tensors that hold NaN or an infinite number; of sharded ones every process sees all.

    Args:
        tensors: by name; of the model, or of the optimizer.
        num_updates: updates so far, for the message.
        learning_rate: for the hint; 0 if unknown.

    Raises:
        PolylectError: one is not finite; names the first.
    """
    floats = [t.detach() for t in tensors.values() if t.is_floating_point() and t.numel()]
    sharded = [tensor for tensor in floats if not _has_empty_shards(tensor)]
    gathered = [full(tensor) for tensor in floats if _has_empty_shards(tensor)]
    # One number of all first: the largest absolute value, which NaN does not pass.
    norms = [torch.nn.utils.get_total_norm(part, math.inf) for part in (sharded, gathered) if part]
    if all(math.isfinite(full(norm).item()) for norm in norms):
        return
    name = next(
        (name for name, tensor in tensors.items()
         if tensor.is_floating_point() and not bool(full(tensor.detach()).isfinite().all())),
        "the weights",
    )  # fmt: skip
    example = f", e.g. --learning-rate {learning_rate / 3:.1g}" if learning_rate else ""
    raise PolylectError(
        f"{name} is no longer finite after {num_updates:,} updates; it was not saved",
        f"lower the learning rate{example}",
    )


def _has_empty_shards(tensor: Tensor) -> bool:
    """Whether a tensor is sharded, and has fewer rows than would give every process some."""
    mesh = getattr(tensor, "device_mesh", None)
    if mesh is None:
        return False
    rows = -(-tensor.shape[0] // mesh.size())
    return rows * (mesh.size() - 1) >= tensor.shape[0]


@torch.no_grad()
def check_outputs(model: "PreTrainedModel", num_updates: int, learning_rate: float) -> None:
    """Refuse a model whose outputs overflow, though each weight is finite.

    Args:
        model: trained, in evaluation mode.
        num_updates: updates so far, for the message.
        learning_rate: for the hint.

    Raises:
        PolylectError: a weight, or an output for a few tokens, is not finite.
    """
    check_finite(dict(model.named_parameters()), num_updates, learning_rate)
    ids = np.arange(min(4, model.config.get_text_config().vocab_size), dtype=np.int64)
    with given_experts(model, 0 if is_oracle(model) else None):
        hidden = forward_hidden(model, pack([Segment(ids, np.zeros(len(ids), np.float32), "und")]))
    head = model.get_output_embeddings() or model.get_submodule("score")
    check_finite({"the trained model's output": head(hidden)}, num_updates, learning_rate)
