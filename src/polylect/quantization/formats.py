"""Storage of a quantized linear layer: tensor names, types, shapes and values, and the config."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from polylect.base import InputError
from polylect.checkpoints import TensorSpec
from polylect.models import (
    NF4_BLOCK,
    NF4_STATE,
    OUTLIER,
    SCALE_BLOCK,
    Int4Linear,
    Int8DynamicLinear,
    Int8Linear,
    LowBitLinear,
    Nf4Linear,
    OutlierLinear,
    encode_nf4,
    nf4_levels,
    pack_int32,
    scale_levels,
)
from polylect.quantization.config import Scheme
from polylect.quantization.rounding import nearest, restored, scales_of

_STATE_BYTES = 256  # fixed, since tensor sizes are laid out before the scales are known


def check_fits(name: str, shape: Sequence[int], scheme: Scheme) -> None:
    """Check that a scheme can store a layer.

    Raises:
        InputError: it cannot.
    """
    if scheme.name == "nf4" and shape[1] % NF4_BLOCK:
        # Its kernels take row and block to begin together: from AVX-512 on the scales are wrong.
        raise InputError(
            f"{name}: bitsandbytes reads nf4 wrong where the inputs are no multiple of {NF4_BLOCK};"
            f" it has {shape[1]:,}",
            f"--layers '*.{name.rpartition('.')[2]}=none' leaves it as it is, or choose another"
            " scheme",
        )


def specs_of(
    name: str, shape: tuple[int, int], scheme: Scheme, group: int, dtype: str
) -> list[TensorSpec]:
    """The tensors that store a linear layer's weight.

    Args:
        name: name of the layer.
        shape: [out, in].
        scheme: the scheme.
        group: inputs per scale, for integer schemes.
        dtype: storage type of scales (safetensors name).
    """
    out, columns = shape
    if scheme.name == "nf4":
        blocks = out * columns // NF4_BLOCK
        parts: list[tuple[str, str, tuple[int, ...]]] = [
            ("weight", "U8", (out * columns // 2, 1)),
            ("weight.absmax", "U8", (blocks,)),
            ("weight.nested_absmax", "F32", (-(-blocks // SCALE_BLOCK),)),
            ("weight.nested_quant_map", "F32", (256,)),
            ("weight.quant_map", "F32", (16,)),
            (f"weight.{NF4_STATE}", "U8", (_STATE_BYTES,)),
        ]
    elif scheme.name == "llm-int8":
        parts = [("weight", "I8", shape), ("SCB", "F32", (out,)), ("weight_format", "U8", ())]
    elif scheme.activations:
        parts = [("weight", "I8", shape), ("weight_scale", dtype, (out, columns // group))]
    else:
        words = -(-columns * scheme.num_bits // 32)
        parts = [
            ("weight_packed", "I32", (out, words)),
            ("weight_scale", dtype, (out, columns // group)),
            ("weight_shape", "I64", (2,)),
        ]
    return [TensorSpec(f"{name}.{suffix}", kind, size) for suffix, kind, size in parts]


class Stored:
    """Codes and scales of a linear layer."""

    def __init__(self, scheme: Scheme, weight: torch.Tensor, group: int, dtype: torch.dtype,
                 codes: torch.Tensor | None = None) -> None:  # fmt: skip
        """Quantize a weight.

        Args:
            scheme: the scheme.
            weight: float32 [out, in].
            group: inputs per scale, for integer schemes.
            dtype: storage type of scales.
            codes: int8 codes [out, in] on the scheme's scales, if already computed.
        """
        self.scheme, self.shape = scheme, (weight.shape[0], weight.shape[1])
        self._nf4: dict[str, torch.Tensor] = {}
        if scheme.name == "nf4":
            self._nf4 = encode_nf4(weight)
            return
        if scheme.name == "llm-int8":
            largest = weight.abs().amax(dim=1, keepdim=True)
            inverse = 127.0 / torch.where(largest > 0, largest, torch.ones_like(largest))
            self.codes = (weight * inverse).round_().to(torch.int8)
            self.scale = largest
            return
        self.scale = scales_of(weight, scheme.num_bits, group, dtype)
        self.codes = nearest(weight, self.scale, scheme.num_bits) if codes is None else codes

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors of ``specs_of``, by name suffix."""
        if self._nf4:
            state = {
                "quant_type": "nf4", "blocksize": NF4_BLOCK, "dtype": "float32",
                "shape": list(self.shape), "nested_blocksize": SCALE_BLOCK,
                "nested_dtype": "float32", "nested_offset": float(self._nf4["offset"]),
            }  # fmt: skip
            text = json.dumps(state).encode().ljust(_STATE_BYTES)
            return {
                "weight": self._nf4["codes"],
                "weight.absmax": self._nf4["absmax"],
                "weight.nested_absmax": self._nf4["nested_absmax"],
                "weight.nested_quant_map": scale_levels(),
                "weight.quant_map": nf4_levels(),
                f"weight.{NF4_STATE}": torch.tensor(list(text), dtype=torch.uint8),
            }
        if self.scheme.name == "llm-int8":
            return {"weight": self.codes, "SCB": self.scale[:, 0].float(),
                    "weight_format": torch.tensor(0, dtype=torch.uint8)}  # fmt: skip
        if self.scheme.activations:
            return {"weight": self.codes, "weight_scale": self.scale}
        return {
            "weight_packed": pack_int32(self.codes, self.scheme.num_bits),
            "weight_scale": self.scale,
            "weight_shape": torch.tensor(self.shape),
        }

    def layer(self, bias: torch.Tensor | None) -> LowBitLinear:
        """The runnable layer, as loaded from a checkpoint."""
        if self._nf4:
            tensors = self._nf4
            return Nf4Linear(
                tensors["codes"], tensors["absmax"], tensors["nested_absmax"], tensors["offset"],
                self.shape, bias,
            )  # fmt: skip
        if self.scheme.name == "llm-int8":
            return OutlierLinear(self.codes, self.scale.float() / 127.0, bias)
        if self.scheme.activations:
            return Int8DynamicLinear(self.codes, self.scale, bias)
        if self.scheme.num_bits == 8:
            return Int8Linear(self.codes, self.scale, bias)
        words = pack_int32(self.codes, 4)
        return Int4Linear(words, self.scale, self.shape[1], bias)

    def weight(self) -> torch.Tensor:
        """Dequantized float32 weight [out, in]."""
        if self._nf4 or self.scheme.name == "llm-int8":
            return self.layer(None).restored
        return restored(self.codes, self.scale)


def quantization_config(
    layers: Mapping[str, tuple[Scheme, int]], alone: Sequence[str]
) -> dict[str, Any]:
    """The ``quantization_config`` of config.json.

    Args:
        layers: scheme and group size (0: one scale per output) by linear layer name.
        alone: linear layers that stay unquantized.

    Raises:
        InputError: no layout can hold these schemes in one checkpoint.
    """
    kinds = {scheme.layout for scheme, _ in layers.values()}
    bnb = {scheme.name for scheme, _ in layers.values() if scheme.layout == "bitsandbytes"}
    if len(kinds) > 1 or len(bnb) > 1:
        names = sorted({scheme.name for scheme, _ in layers.values()})
        raise InputError(
            f"no layout holds {' and '.join(names)} in one checkpoint",
            "mix schemes of compressed-tensors only: all but llm-int8 and nf4",
        )
    if bnb:
        return _bitsandbytes(next(iter(bnb)), alone)
    groups: dict[str, dict[str, Any]] = {}
    members: dict[str, list[str]] = {}
    for name, (scheme, size) in layers.items():
        group = _group(scheme, size)
        key = json.dumps(group, sort_keys=True)
        groups.setdefault(key, group)
        members.setdefault(key, []).append(name)
    several = len(groups) > 1
    formats = {group["format"] for group in groups.values()}
    return {
        "quant_method": "compressed-tensors",
        "format": formats.pop() if len(formats) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": list(alone),
        "config_groups": {
            f"group_{number}": {"targets": members[key] if several else ["Linear"], **group}
            for number, (key, group) in enumerate(groups.items())
        },
    }


def _group(scheme: Scheme, size: int) -> dict[str, Any]:
    token = {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True,
        "group_size": None, "actorder": None, "block_structure": None, "observer": None,
        "observer_kwargs": {},
    }  # fmt: skip
    weights = {
        "num_bits": scheme.num_bits, "type": "int", "symmetric": True, "dynamic": False,
        "strategy": "group" if size else "channel", "group_size": size or None, "actorder": None,
        "block_structure": None, "observer": "minmax", "observer_kwargs": {},
    }  # fmt: skip
    return {
        "weights": weights,
        "input_activations": token if scheme.activations else None,
        "output_activations": None,
        "format": "int-quantized" if scheme.activations else "pack-quantized",
    }


def _bitsandbytes(name: str, alone: Sequence[str]) -> dict[str, Any]:
    four = name == "nf4"
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": four,
        "load_in_8bit": not four,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "float32",
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_threshold": OUTLIER,
        "llm_int8_has_fp16_weight": False,
        "llm_int8_enable_fp32_cpu_offload": False,
        "llm_int8_skip_modules": list(alone) or None,
    }
