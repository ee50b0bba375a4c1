"""Attention over packed segments with shared prefixes, through transformers' attention interface.

A token attends causally to its own segment and fully to its ancestors and the kept prefix, within
the layer's sliding window if there is one. Grouped-query heads, values narrower than keys,
soft-capped scores and attention sinks are supported; positions come from ``position_ids``. On CPU
it makes one SDPA call per block of segments, on an accelerator it uses FlexAttention. The result
equals separate forward passes within rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from polylect.models.decode_cache import DecodeCache
from polylect.models.segment_mask import Layout

PACKED = "polylect_packed"
"""Name of this attention implementation in transformers."""


@dataclass(frozen=True)
class Prefix:
    """A computed prefix that later rows continue.

    Attributes:
        ids: all its token ids from the first, int64 [P].
        keys: [1, key heads, P, dim] by layer, with positions applied.
        values: [1, key heads, P, value dim] by layer.
    """

    ids: np.ndarray
    keys: dict[int, torch.Tensor] = field(repr=False)
    values: dict[int, torch.Tensor] = field(repr=False)

    @property
    def num_tokens(self) -> int:
        """Its number of tokens P."""
        return len(self.ids)


@dataclass
class Row:
    """The structure of a row, passed to every layer of a forward pass."""

    layout: Layout
    prefix: Prefix | None = None
    keep: Prefix | None = None
    lanes: DecodeCache | None = None


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    packed_row: Row | None = None,
    dropout: float = 0.0,
    s_aux: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output [1, T, heads, value dim] of a packed row.

    Args:
        module: the attention layer; its index selects the kept keys.
        query: [1, heads, T, dim].
        key: [1, key heads, T, dim]; heads is a multiple of key heads.
        value: [1, key heads, T, value dim]; narrower than the key in latent attention (DeepSeek).
        attention_mask: always None; the row defines the mask.
        scaling: factor on the scores; None is 1/sqrt(dim).
        sliding_window: tokens that a token attends to, itself included; None for all.
        softcap: c in ``c · tanh(scores / c)`` (Gemma 2), or None.
        packed_row: structure of the row; None is a single segment.
        dropout: probability that a weight is dropped; transformers passes 0 outside of training.
        s_aux: attention sinks [heads]: a score beside those of the keys, for no value (GPT-OSS).
        kwargs: other arguments of attention implementations; ignored.
    """
    assert query.shape[0] == 1, "packed rows have no batch dimension"
    row = packed_row or Row(Layout((query.shape[2],), (-1,)))
    number = _number(module)
    if row.lanes is not None:
        output = attend_decoding(
            query, key, value, row.lanes, number, scaling, sliding_window, softcap, s_aux
        )
        return output.transpose(1, 2).contiguous(), None
    if row.prefix is not None:
        key = torch.cat([row.prefix.keys[number], key], dim=2)
        value = torch.cat([row.prefix.values[number], value], dim=2)
    if row.keep is not None:
        row.keep.keys[number], row.keep.values[number] = key, value
    by_blocks = softcap is not None or s_aux is not None or dropout > 0
    if query.device.type == "cpu" or by_blocks:
        output = attend_blocks(
            query, key, value, row.layout, scaling, sliding_window, softcap, dropout, s_aux
        )
    else:
        output = attend_flex(query, key, value, row.layout, scaling, sliding_window)
    return output.transpose(1, 2).contiguous(), None


def _number(module: Any) -> int:
    """Layer index of an attention module; 0 for a standalone one."""
    return getattr(module, "layer_idx", 0)


def attend_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
    softcap: float | None = None,
    dropout: float = 0.0,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention [1, heads, T, value dim], block by block; keys and values start with the kept
    prefix.
    """
    blocks = layout.blocks()
    sizes = [layout.block_tokens(block) for block in blocks]
    kept = [layout.num_kept] if layout.num_kept else []
    # split, not slices: split has one concatenation as its backward pass; a slice would fill a
    # full-size gradient with zeros for every segment.
    queries = query.split(sizes, dim=2)
    parts = [*kept, *layout.lengths]
    keys, values = key.split(parts, dim=2), value.split(parts, dim=2)
    outputs = []
    for number, (block, q) in enumerate(zip(blocks, queries, strict=True)):
        seen = [i + len(kept) for i in (*block.ancestors, *range(block.first, block.last))]
        seen = [*range(len(kept)), *seen]
        k, v = _joined(keys, seen), _joined(values, seen)
        mask = layout.mask(number, window, q.device)
        if softcap is not None or sinks is not None:
            outputs.append(_weighed(q, k, v, mask, scaling, softcap, sinks, dropout))
            continue
        outputs.append(
            scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask,
                dropout_p=dropout,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=q.shape[1] != k.shape[1],
            )
        )
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


def attend_decoding(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lanes: DecodeCache,
    layer: int,
    scaling: float | None,
    window: int | None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention [1, heads, width, value dim] of one new token per lane; zeros for free lanes."""
    outputs = [query.new_zeros((1, query.shape[1], 1, value.shape[3]))] * lanes.width
    for lane in lanes.used:
        here = slice(lane, lane + 1)
        q = query[:, :, here]
        k, v = lanes.extend(lane, layer, key[:, :, here], value[:, :, here], window)
        if softcap is not None or sinks is not None:
            mask = torch.ones((1, k.shape[2]), dtype=torch.bool, device=q.device)
            outputs[lane] = _weighed(q, k, v, mask, scaling, softcap, sinks)
            continue
        outputs[lane] = scaled_dot_product_attention(
            q, k, v, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
    return torch.cat(outputs, dim=2)


def _joined(parts: Sequence[torch.Tensor], which: list[int]) -> torch.Tensor:
    return parts[which[0]] if len(which) == 1 else torch.cat([parts[i] for i in which], dim=2)


def _weighed(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention with soft-capped scores or sinks, which SDPA does not support."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    scores = q @ k.transpose(2, 3) * (q.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    scores = scores.masked_fill(~mask, -torch.inf)
    if sinks is not None:
        beside = sinks.to(scores).view(1, -1, 1, 1).expand(-1, -1, scores.shape[2], -1)
        scores = torch.cat([scores, beside], dim=-1)
    weights = scores.softmax(dim=-1)[..., : k.shape[2]]
    return torch.nn.functional.dropout(weights, dropout).to(v.dtype) @ v


def attend_flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Same as ``attend_blocks``, by FlexAttention: compiled on an accelerator, eager on CPU."""
    attend = _flex(query.device.type)
    return attend(
        query,
        key,
        value,
        block_mask=_block_mask(layout, window, query.device),
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


@lru_cache(maxsize=2)
def _flex(device_type: str) -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention if device_type == "cpu" else torch.compile(flex_attention, dynamic=True)


def _block_mask(layout: Layout, window: int | None, device: torch.device) -> Any:
    """FlexAttention's block mask of a row; built once per row and window."""
    mask = layout.flex_masks.get(window)
    if mask is not None:
        return mask
    from torch.nn.attention.flex_attention import create_block_mask

    kept, num = layout.num_kept, layout.num_tokens
    at = torch.from_numpy(layout.positions()).to(device)
    segment = torch.from_numpy(layout.segment_of_token()).to(device)
    related = torch.from_numpy(layout.related()).to(device)
    # The kept prefix counts as one more segment, an ancestor of all others.
    key_at = torch.cat([torch.arange(kept, device=device), at])
    key_segment = torch.cat([torch.full((kept,), len(layout.lengths), device=device), segment])
    related = torch.nn.functional.pad(related, (0, 1), value=True)
    reach = kept + num if window is None else window

    def sees(batch: Any, head: Any, q: Any, k: Any) -> Any:
        back = at[q] - key_at[k]
        return related[segment[q], key_segment[k]] & (back >= 0) & (back < reach)

    mask = create_block_mask(sees, None, None, num, kept + num, device=str(device))
    layout.flex_masks[window] = mask
    return mask


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """No mask: the row carries its structure."""


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, _no_mask)
