"""Replacing the weights of a loaded model, tensor by tensor, without a file."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from polylect.base import InputError
from polylect.checkpoints import Bytes, TensorSpec
from polylect.models.meta_model import TORCH_DTYPES
from polylect.models.name_conversion import module_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def place_weights(model: "PreTrainedModel", tensors: Iterable[tuple[TensorSpec, Bytes]]) -> None:
    """Replace a loaded model's weights by those of a checkpoint.

    Values are cast to the types of the model; tied tensors change together. Tensors find their
    weights by transformers' own conversion of names; what it joins or splits is refused.

    Args:
        model: a loaded model of the same architecture.
        tensors: all tensors of the checkpoint with their bytes, which are copied.

    Raises:
        InputError: a tensor has no counterpart in the model, or a parameter was not given. The
            model is in a mixed state then.
    """
    state = model.state_dict(keep_vars=True)
    module_name = module_names(model)
    placed: set[int] = set()
    for spec, raw in tensors:
        target = state.get(module_name(spec.name))
        if target is None or tuple(target.shape) != tuple(spec.shape):
            raise InputError(
                f"{type(model).__name__}: holds no tensor {spec.name!r} of shape"
                f" {list(spec.shape)}, so that weights cannot be changed in memory",
                "write the candidates to files: polylect run search --written",
            )
        if math.prod(spec.shape):
            source = torch.frombuffer(raw, dtype=TORCH_DTYPES[spec.dtype]).view(spec.shape)
            target.copy_(source)
        placed.add(target.data_ptr())
    for name, parameter in model.named_parameters():
        if parameter.data_ptr() not in placed:
            raise InputError(
                f"{type(model).__name__}: the checkpoint holds no {name!r}, so that weights cannot"
                " be changed in memory",
                "write the candidates to files: polylect run search --written",
            )
