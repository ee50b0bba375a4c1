"""Loading quantized checkpoints without the libraries that define their layouts.

Read are compressed-tensors' ``pack-quantized`` and ``int-quantized`` (symmetric, by channel or by
group) and bitsandbytes' int8 and NF4 with double quantization: what
``polylect.quantization`` writes.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models.codecs import unpack_int32
from polylect.models.low_bit import (
    Int4Linear,
    Int8DynamicLinear,
    Int8Linear,
    LowBitLinear,
    Nf4Linear,
    OutlierLinear,
    replace_linear,
)
from polylect.models.meta_model import fill, skeleton, tensor_of

NF4_STATE = "quant_state.bitsandbytes__nf4"
"""bitsandbytes' name of the tensor that holds an NF4 weight's description, as JSON."""

_UNREAD = ("weight_zero_point", "weight_g_idx", "weight_global_scale", "qweight", "qzeros")


def is_quantized(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's config says that it is quantized."""
    return "quantization_config" in checkpoint.config


def load_quantized(checkpoint: Checkpoint, dtype: torch.dtype, attention: str) -> Any:
    """The model, its quantized linear layers as ``low_bit`` layers, the rest in ``dtype``.

    Args:
        checkpoint: in a layout named above.
        dtype: of everything that is not quantized.
        attention: transformers' name of an attention function.

    Raises:
        InputError: another layout, or a tensor is missing.
    """
    model = skeleton(checkpoint, attention)
    names = {name for name, one in model.named_modules() if isinstance(one, torch.nn.Linear)}
    dynamic = dynamic_of(checkpoint.config["quantization_config"])
    for name in sorted(names):
        layer = low_bit_layer(checkpoint, name, dynamic)
        if layer is not None:
            replace_linear(model, name, layer)
    for name, one in model.named_modules():
        if isinstance(one, LowBitLinear) or not (one._parameters or one._buffers):
            continue
        _fill_own(one, f"{name}." if name else "", checkpoint, dtype, model)
    model.tie_weights()
    left = [name for name, one in model.named_parameters() if one.is_meta]
    if left:
        raise InputError(
            f"{checkpoint.path}: holds no tensor {left[0]!r}, which its architecture needs",
            "quantize the model again",
        )
    return model.eval()


def _fill_own(one: Any, prefix: str, checkpoint: Checkpoint, dtype: Any, model: Any) -> None:
    """Fill a module's own tensors; those that are tied to others come from these."""
    own = torch.nn.Module()
    own._parameters, own._buffers = dict(one._parameters), dict(one._buffers)
    own._non_persistent_buffers_set = one._non_persistent_buffers_set
    tied = getattr(model, "_tied_weights_keys", None) or {}
    own._parameters = {
        name: value
        for name, value in own._parameters.items()
        if f"{prefix}{name}" in checkpoint.tensors or f"{prefix}{name}" not in tied
    }
    fill(own, prefix, checkpoint, dtype)
    one._parameters.update(own._parameters)
    one._buffers.update(own._buffers)


def dynamic_of(config: Mapping[str, Any]) -> bool:
    """Whether activations are quantized token by token, of compressed-tensors' groups.

    Raises:
        InputError: the method or an arrangement of activations is another.
    """
    method = config.get("quant_method")
    if method == "bitsandbytes":
        return False
    if method != "compressed-tensors":
        raise InputError(
            f"a model quantized by {method!r} cannot be run here",
            "compressed-tensors and bitsandbytes can; or quantize the original with polylect",
        )
    found = {bool(group.get("input_activations")) for group in config["config_groups"].values()}
    for group in config["config_groups"].values():
        own = group.get("input_activations")
        if own and not (own.get("dynamic") and own.get("strategy") == "token"
                        and own.get("num_bits") == 8):  # fmt: skip
            raise InputError("only activations of 8 bits, dynamic by token, can be run here",
                             "quantize the original with polylect")  # fmt: skip
    return True in found


def low_bit_layer(checkpoint: Checkpoint, name: str, dynamic: bool) -> LowBitLinear | None:
    """The layer of a name from its tensors; None where it is not quantized."""
    there = checkpoint.tensors
    for one in _UNREAD:
        if f"{name}.{one}" in there:
            raise InputError(
                f"{checkpoint.path}: {name} has {one!r}, which is not read here",
                "quantize the original with polylect",
            )

    def read(what: str) -> torch.Tensor:
        return tensor_of(checkpoint, f"{name}.{what}")

    bias = read("bias").float() if f"{name}.bias" in there else None
    if f"{name}.weight_packed" in there:
        words, scale = read("weight_packed"), read("weight_scale")
        columns = int(read("weight_shape")[1])
        if words.shape[1] == math.ceil(columns / 8):
            return Int4Linear(words, scale, columns, bias)
        return Int8Linear(unpack_int32(words, 8, columns), scale, bias)
    if f"{name}.SCB" in there:
        return OutlierLinear(read("weight"), read("SCB").float()[:, None] / 127.0, bias)
    if f"{name}.weight_scale" in there:
        kind = Int8DynamicLinear if dynamic else Int8Linear
        return kind(read("weight"), read("weight_scale"), bias)
    if f"{name}.weight.{NF4_STATE}" in there:
        state = json.loads(bytes(read(f"weight.{NF4_STATE}").tolist()))
        offset = torch.tensor(state["nested_offset"], dtype=torch.float32)
        out, columns = state["shape"]
        return Nf4Linear(
            read("weight"), read("weight.absmax"), read("weight.nested_absmax"), offset,
            (out, columns), bias,
        )  # fmt: skip
    return None
