"""Loading quantized checkpoints without the libraries that define their layouts.

Supported are compressed-tensors' ``pack-quantized`` and ``int-quantized`` (symmetric, per channel
or per group) and bitsandbytes' int8 and NF4 with double quantization: what
``polylect.quantization`` writes.
"""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
from polylect.models.meta_model import fill_own, skeleton, tensor_of
from polylect.models.name_conversion import weight_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


NF4_STATE = "quant_state.bitsandbytes__nf4"
"""Name of the tensor in which bitsandbytes keeps an NF4 weight's description as JSON."""

_PARTS = {
    "weight_packed": ("weight_scale", "weight_shape"), "SCB": ("weight",),
    "weight_scale": ("weight",),
    f"weight.{NF4_STATE}": ("weight", "weight.absmax", "weight.nested_absmax"),
}  # fmt: skip
"""By the tensor that shows how a layer is quantized, the others that it needs."""
_UNREAD = ("weight_zero_point", "weight_g_idx", "weight_global_scale", "qweight", "qzeros")


def load_quantized(checkpoint: Checkpoint, dtype: torch.dtype, attention: str) -> "PreTrainedModel":
    """The model, with quantized linear layers as ``low_bit`` layers and the rest in ``dtype``.

    Args:
        checkpoint: a quantized checkpoint in a supported layout.
        dtype: type of all weights that are not quantized.
        attention: name of an attention implementation in transformers.

    Raises:
        InputError: the layout is not supported, or a tensor is missing.
    """
    model = skeleton(checkpoint, attention)
    names = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    dynamic = dynamic_of(checkpoint.config["quantization_config"])
    for name in sorted(names):
        layer = low_bit_layer(checkpoint, name, dynamic)
        if layer is not None:
            replace_linear(model, name, layer)
    names = weight_names(model, checkpoint.tensors)
    low_bit = tuple(
        f"{name}." for name, module in model.named_modules() if isinstance(module, LowBitLinear)
    )
    # By name: a weight that is not read may hold what its module was built with.
    left = [name for name in names.absent(model) if not name.startswith(low_bit)]
    if left or names.built:
        raise InputError(
            f"{checkpoint.path}: tensor {[*left, *names.built][0]!r} is missing",
            "quantize the model again",
        )
    for name, module in model.named_modules():
        if not isinstance(module, LowBitLinear):
            fill_own(module, f"{name}." if name else "", checkpoint, dtype, names.stored)
    missing = {name for name, value in model.named_parameters() if value.is_meta}
    model.tie_weights(missing_keys=missing, recompute_mapping=False)
    return model.eval()


def dynamic_of(config: Mapping[str, Any]) -> bool:
    """Whether a quantization config asks for dynamic per-token activations.

    Raises:
        InputError: the method or its activation scheme is not supported.
    """
    method = config.get("quant_method")
    if method == "bitsandbytes":
        return False
    if method != "compressed-tensors":
        raise InputError(
            f"quantization method {method!r} is not supported",
            "use compressed-tensors or bitsandbytes, or quantize the original with polylect",
        )
    groups = config["config_groups"].values()
    for group in groups:
        activations = group.get("input_activations")
        if activations and (
            not activations.get("dynamic")
            or activations.get("strategy") != "token"
            or activations.get("num_bits") != 8
        ):
            raise InputError("only dynamic per-token 8-bit activations are supported",
                             "quantize the original with polylect")  # fmt: skip
    return any(group.get("input_activations") for group in groups)


def low_bit_names(checkpoint: Checkpoint, model: "PreTrainedModel") -> list[str]:
    """Names of the quantized layers of a checkpoint; no tensor is read.

    Args:
        checkpoint: a quantized checkpoint.
        model: of its architecture; may be on the meta device.

    Raises:
        InputError: the layout is not supported, or a layer lacks one of its tensors.
    """
    dynamic_of(checkpoint.config["quantization_config"])
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    low_bit = []
    for name in sorted(layers):
        _refuse_unread(checkpoint, name)
        for kind, others in _PARTS.items():
            if f"{name}.{kind}" not in checkpoint.tensors:
                continue
            low_bit.append(name)
            for part in others:
                if f"{name}.{part}" not in checkpoint.tensors:
                    raise InputError(
                        f"{checkpoint.path}: tensor {f'{name}.{part}'!r} is missing",
                        "fetch or make the checkpoint again",
                    )
            break
    return low_bit


def _refuse_unread(checkpoint: Checkpoint, name: str) -> None:
    for suffix in _UNREAD:
        if f"{name}.{suffix}" in checkpoint.tensors:
            raise InputError(
                f"{checkpoint.path}: {name} has {suffix!r}, which is not supported",
                "quantize the original with polylect",
            )


def low_bit_layer(checkpoint: Checkpoint, name: str, dynamic: bool) -> LowBitLinear | None:
    """The quantized layer of that name; None where it is not quantized."""
    tensors = checkpoint.tensors
    _refuse_unread(checkpoint, name)

    def read(what: str) -> torch.Tensor:
        return tensor_of(checkpoint, f"{name}.{what}")

    bias = read("bias").float() if f"{name}.bias" in tensors else None
    if f"{name}.weight_packed" in tensors:
        words, scale = read("weight_packed"), read("weight_scale")
        columns = int(read("weight_shape")[1])
        if words.shape[1] == math.ceil(columns / 8):
            return Int4Linear(words, scale, columns, bias)
        return Int8Linear(unpack_int32(words, 8, columns), scale, bias)
    if f"{name}.SCB" in tensors:
        return OutlierLinear(read("weight"), read("SCB").float()[:, None] / 127.0, bias)
    if f"{name}.weight_scale" in tensors:
        kind = Int8DynamicLinear if dynamic else Int8Linear
        return kind(read("weight"), read("weight_scale"), bias)
    if f"{name}.weight.{NF4_STATE}" in tensors:
        state = json.loads(bytes(read(f"weight.{NF4_STATE}").tolist()))
        offset = torch.tensor(state["nested_offset"], dtype=torch.float32)
        out, columns = state["shape"]
        return Nf4Linear(
            read("weight"), read("weight.absmax"), read("weight.nested_absmax"), offset,
            (out, columns), bias,
        )  # fmt: skip
    return None
