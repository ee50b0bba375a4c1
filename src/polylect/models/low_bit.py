"""Linear layers that store few-bit weights and dequantize them on the fly.

Weights are dequantized a part at a time while they are used, so that memory stays that of the
codes. Where activations are int8 too, products are accumulated in int32 (``torch._int_mm``). No
token's result depends on the other tokens.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear

from polylect.models.codecs import NF4_BLOCK, decode_nf4

if TYPE_CHECKING:
    pass


OUTLIER = 6.0
"""Activations of at least this magnitude stay in floating point (LLM.int8, section 3.2)."""

_PART = 1 << 20
"""Weights dequantized at a time."""


class LowBitLinear(torch.nn.Module):
    """A linear layer whose weight is dequantized when it is used."""

    def __init__(self, shape: tuple[int, int], bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self.label = ""
        """Name of the layer in its model."""
        self.register_buffer("bias", bias)

    def rows(self, start: int, end: int) -> torch.Tensor:
        """Dequantized float32 weight of outputs ``start`` to ``end``, [end − start, in]."""
        raise NotImplementedError

    @property
    def restored(self) -> torch.Tensor:
        """Dequantized float32 weight [out, in]."""
        return self.rows(0, self.out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, out] of [..., in]."""
        step = max(NF4_BLOCK, _PART // self.in_features // NF4_BLOCK * NF4_BLOCK)
        if step >= self.out_features:
            output = linear(x, self.restored.to(x.dtype))
        else:
            output = x.new_empty((*x.shape[:-1], self.out_features))
            for start in range(0, self.out_features, step):
                end = min(start + step, self.out_features)
                output[..., start:end] = linear(x, self.rows(start, end).to(x.dtype))
        return output if self.bias is None else output + self.bias.to(x.dtype)


class Int8Linear(LowBitLinear):
    """int8 codes [out, in] with scales [out, groups] per output and group of inputs."""

    def __init__(self, codes: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__((codes.shape[0], codes.shape[1]), bias)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.float())

    codes: torch.Tensor
    scale: torch.Tensor

    def rows(self, start: int, end: int) -> torch.Tensor:
        """See ``LowBitLinear``."""
        return _scaled(self.codes[start:end].float(), self.scale[start:end])


class Int4Linear(LowBitLinear):
    """4-bit codes, eight in an int32 word [out, ⌈in/8⌉], with scales [out, groups]."""

    def __init__(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        num_inputs: int,
        bias: torch.Tensor | None,
    ) -> None:
        super().__init__((words.shape[0], num_inputs), bias)
        self.register_buffer("words", words)
        self.register_buffer("scale", scale.float())

    words: torch.Tensor
    scale: torch.Tensor

    def rows(self, start: int, end: int) -> torch.Tensor:
        """See ``LowBitLinear``."""
        byte = self.words[start:end].view(torch.uint8).int()
        values = torch.nn.functional.embedding(byte, _int4_pairs()).flatten(1)
        return _scaled(values[:, : self.in_features], self.scale[start:end])


class Nf4Linear(LowBitLinear):
    """NF4 with double quantization; see ``codecs.encode_nf4``."""

    def __init__(
        self,
        codes: torch.Tensor,
        absmax: torch.Tensor,
        nested_absmax: torch.Tensor,
        offset: torch.Tensor,
        shape: tuple[int, int],
        bias: torch.Tensor | None,
    ) -> None:
        super().__init__(shape, bias)
        for name, tensor in (("codes", codes.reshape(-1)), ("absmax", absmax), ("offset", offset),
                          ("nested_absmax", nested_absmax)):  # fmt: skip
            self.register_buffer(name, tensor)

    codes: torch.Tensor
    absmax: torch.Tensor
    nested_absmax: torch.Tensor
    offset: torch.Tensor

    def rows(self, start: int, end: int) -> torch.Tensor:
        """See ``LowBitLinear``."""
        num = self.in_features
        first, last = start * num // NF4_BLOCK, end * num // NF4_BLOCK
        return decode_nf4(
            self.codes[start * num // 2 : end * num // 2], self.absmax[first:last],
            self.nested_absmax, self.offset, (end - start, num), first,
        )  # fmt: skip


class Int8DynamicLinear(Int8Linear):
    """int8 weights (one scale per output) and int8 activations (one scale per token)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, out] of [..., in]."""
        flat = x.reshape(-1, self.in_features)
        output = int8_product(flat, self.codes, self.scale)
        output = output.to(x.dtype).view(*x.shape[:-1], self.out_features)
        return output if self.bias is None else output + self.bias.to(x.dtype)


class OutlierLinear(Int8Linear):
    """LLM.int8: like ``Int8DynamicLinear``, but activations of magnitude 6 and more stay floats."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, out] of [..., in]."""
        flat = x.reshape(-1, self.in_features)
        large = flat.abs() >= OUTLIER
        output = int8_product(flat.masked_fill(large, 0.0), self.codes, self.scale)
        inputs = large.any(dim=0).nonzero()[:, 0]
        if len(inputs):
            kept = torch.where(large[:, inputs], flat[:, inputs], 0.0).float()
            output += kept @ (self.codes[:, inputs].float() * self.scale).T
        output = output.to(x.dtype).view(*x.shape[:-1], self.out_features)
        return output if self.bias is None else output + self.bias.to(x.dtype)


def int8_product(x: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """float32 product [tokens, out] of int8 operands, accumulated in int32 and rescaled.

    Args:
        x: [tokens, in]; a token's scale is its largest magnitude over 127.
        codes: int8 [out, in].
        scale: [out, 1].
    """
    largest = x.abs().amax(dim=1, keepdim=True).float() / 127.0
    step = torch.where(largest > 0, largest, torch.ones_like(largest))
    tokens = (x.float() / step).round_().clamp_(-127, 127).to(torch.int8)
    product = torch._int_mm(tokens, codes.T).float()
    return product.mul_(step).mul_(scale.T)


def _scaled(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    rows, columns = values.shape
    groups = scale.shape[1]
    return (values.view(rows, groups, columns // groups) * scale[:, :, None]).view(rows, columns)


@lru_cache(maxsize=1)
def _int4_pairs() -> torch.Tensor:
    """Both codes of every byte as floats, [256, 2]."""
    byte = torch.arange(256)
    return torch.stack(((byte & 15) - 8, (byte >> 4) - 8), dim=1).float()


def replace_linear(model: torch.nn.Module, name: str, layer: torch.nn.Module) -> None:
    """Replace the submodule of that name."""
    if isinstance(layer, LowBitLinear):
        layer.label = name
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent) if parent else model, child, layer)
