"""A model on the meta device, to be filled with weights layer by layer."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from polylect.base import InputError, gc_paused
from polylect.checkpoints import (
    TORCH_NAMES,
    Checkpoint,
    TensorFile,
    TensorInfo,
    item_size,
    read_raw,
)
from polylect.models._quiet import quiet_loading
from polylect.models.nexus_classes import register_nexus

if TYPE_CHECKING:
    from transformers import PreTrainedModel


TORCH_DTYPES: dict[str, torch.dtype] = {
    dtype: getattr(torch, name) for dtype, name in TORCH_NAMES.items()
}
"""torch's dtypes by safetensors' names."""

CANNOT_BUILD = (OSError, KeyError, ValueError, ImportError, RuntimeError, TypeError, AttributeError,
                ArithmeticError)  # fmt: skip
"""What transformers raises for a config.json that it does not know or that contradicts itself."""


class _EmptyIsMeta(TorchFunctionMode):
    """Tensors created by ``torch.empty`` go to the meta device; constants are created as usual."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def skeleton(checkpoint: Checkpoint, attention: str) -> "PreTrainedModel":
    """The checkpoint's model in evaluation mode, its weights on the meta device.

    Constants that are not stored in checkpoints (rotary frequencies, embedding scales) have values.
    A quantized checkpoint gives the modules of the unquantized model.

    Args:
        checkpoint: its config defines the architecture.
        attention: name of an attention implementation in transformers; an architecture that does
            not take it gets its eager one.

    Raises:
        InputError: transformers does not know the architecture.
    """
    import transformers

    register_nexus(checkpoint.config)
    try:
        with quiet_loading(transformers), gc_paused(), _EmptyIsMeta():
            config = transformers.AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)
            if hasattr(config, "quantization_config"):
                delattr(config, "quantization_config")
            try:
                model = transformers.AutoModelForCausalLM.from_config(
                    config, attn_implementation=attention, dtype=torch.float32
                )
            except (KeyError, ValueError):  # an architecture with attention of its own
                model = transformers.AutoModelForCausalLM.from_config(
                    config, attn_implementation="eager", dtype=torch.float32
                )
    except CANNOT_BUILD as error:
        raise InputError(
            f"{checkpoint.path}: transformers cannot build it ({first_line(error)})"
        ) from None
    return model.eval()


def first_line(error: Exception) -> str:
    """The first line of what an error says, at most 160 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def tensor_of(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    """A tensor of a checkpoint in its stored type and shape.

    Raises:
        InputError: there is no such tensor, or the file is truncated.
    """
    info = _info(checkpoint, name)
    raw = read_raw(info)
    if not raw.size:
        return torch.empty(info.shape, dtype=TORCH_DTYPES[info.dtype])
    return torch.frombuffer(raw, dtype=TORCH_DTYPES[info.dtype]).view(info.shape)


def _info(checkpoint: Checkpoint, name: str) -> TensorInfo:
    info = checkpoint.tensors.get(name)
    if info is None:
        raise InputError(
            f"{checkpoint.path}: tensor {name!r} is missing",
            "fetch or make the checkpoint again",
        )
    return info


def rows_of(checkpoint: Checkpoint, name: str, rows: np.ndarray) -> torch.Tensor:
    """Selected rows of a matrix in its stored type; nothing else is read.

    Args:
        checkpoint: the checkpoint.
        name: name of the tensor.
        rows: ascending row indices.

    Raises:
        InputError: there is no such tensor, or the file is truncated.
    """
    info = _info(checkpoint, name)
    width = info.shape[1]
    raw_rows = np.empty((len(rows), width * item_size(info.dtype)), dtype=np.uint8)
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    file = TensorFile(info)
    try:
        for start, end in pairwise([0, *breaks.tolist(), len(rows)]):
            first, last = int(rows[start]), int(rows[end - 1])
            raw = file.read(first * width, (last + 1) * width)
            raw_rows[start:end] = raw.reshape(end - start, -1)
    finally:
        file.close()
    return (
        torch.from_numpy(raw_rows.reshape(-1)).view(TORCH_DTYPES[info.dtype]).view(len(rows), width)
    )


@torch.no_grad()
def fill(
    module: Any,
    prefix: str,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    stored: Mapping[str, str] | None = None,
) -> None:
    """Load a module's parameters and buffers from a checkpoint, floats as ``dtype``.

    Args:
        module: a module of a skeleton; present values are replaced.
        prefix: prefix of its names in the model, ending in a dot; may be empty.
        checkpoint: the checkpoint.
        dtype: type of floating-point tensors.
        stored: the tensor's name by the weight's name in the model (``WeightNames.stored``); None
            where they are equal.

    Raises:
        InputError: a tensor is missing or has another shape.
    """
    owners = [
        (f"{path}." if path else "", owner)
        for path, owner in module.named_modules()
        if owner._parameters or owner._buffers
    ]
    for path, owner in owners:
        kept = {**owner._parameters, **owner._buffers}
        for name, old in kept.items():
            if old is None or name in owner._non_persistent_buffers_set:
                continue
            full = f"{prefix}{path}{name}"
            full = (stored or {}).get(full, full)
            value = tensor_of(checkpoint, full)
            if tuple(value.shape) != tuple(old.shape):
                raise InputError(
                    f"{checkpoint.path}: tensor {full!r} is {list(value.shape)}, the architecture"
                    f" has {list(old.shape)}",
                    "fetch or make the checkpoint again",
                )
            value = value.to(dtype) if value.is_floating_point() else value
            if name in owner._parameters:
                owner._parameters[name] = torch.nn.Parameter(value, requires_grad=False)
            else:
                owner._buffers[name] = value


def fill_own(
    module: Any, prefix: str, checkpoint: Checkpoint, dtype: torch.dtype, stored: Mapping[str, str]
) -> None:
    """``fill`` for a module without its children, but for weights that the checkpoint lacks.

    Those are tied to others, or stay on the meta device: the caller has to look.
    """
    alone = torch.nn.Module()
    alone._parameters = {
        name: value for name, value in module._parameters.items() if f"{prefix}{name}" in stored
    }
    alone._buffers = {
        name: value
        for name, value in module._buffers.items()
        if f"{prefix}{name}" in stored and name not in module._non_persistent_buffers_set
    }
    fill(alone, prefix, checkpoint, dtype, stored)
    module._parameters.update(alone._parameters)
    module._buffers.update(alone._buffers)
