"""Attention over packed segments with shared prefixes, through transformers' attention interface.

A token attends causally to its own segment and fully to its ancestors and the kept prefix, within
the layer's sliding window if there is one. Grouped-query heads and soft-capped scores are
supported; positions come from ``position_ids``. On CPU it makes one SDPA call per block of
segments, on an accelerator it uses FlexAttention. The result equals separate forward passes within
rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from polylect.models.decode_cache import DecodeCache
from polylect.models.segment_mask import Layout
from polylect.models.token_rows import check_rows
from polylect.text import TokenBatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


PACKED = "polylect_packed"
"""Name of this attention implementation in transformers."""


@dataclass(frozen=True)
class Prefix:
    """A computed prefix that later rows continue.

    Attributes:
        ids: all its token ids from the first, int64 [P].
        keys: [1, key heads, P, dim] by layer, with positions applied.
        values: same shape as keys.
    """

    ids: np.ndarray
    keys: dict[int, torch.Tensor] = field(repr=False)
    values: dict[int, torch.Tensor] = field(repr=False)

    @property
    def num_tokens(self) -> int:
        """Its number of tokens P."""
        return len(self.ids)


@dataclass
class _Row:
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
    packed_row: _Row | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output [1, T, heads, dim] of a packed row.

    Args:
        module: the attention layer; its index selects the kept keys.
        query: [1, heads, T, dim].
        key: [1, key heads, T, dim]; heads is a multiple of key heads.
        value: same shape as key.
        attention_mask: always None; the row defines the mask.
        scaling: factor on the scores; None is 1/sqrt(dim).
        sliding_window: tokens that a token attends to, itself included; None for all.
        softcap: c in ``c · tanh(scores / c)`` (Gemma 2), or None.
        packed_row: structure of the row; None is a single segment.
        dropout: probability that a weight is dropped; transformers passes 0 outside of training.
        kwargs: other arguments of attention implementations; ignored.
    """
    assert query.shape[0] == 1, "packed rows have no batch dimension"
    assert kwargs.get("s_aux") is None, "attention sinks are not supported"
    row = packed_row or _Row(Layout((query.shape[2],), (-1,)))
    number = _number(module)
    if row.lanes is not None:
        output = attend_decoding(
            query, key, value, row.lanes, number, scaling, sliding_window, softcap
        )
        return output.transpose(1, 2), None
    if row.prefix is not None:
        key = torch.cat([row.prefix.keys[number], key], dim=2)
        value = torch.cat([row.prefix.values[number], value], dim=2)
    if row.keep is not None:
        row.keep.keys[number], row.keep.values[number] = key, value
    if query.device.type == "cpu" or softcap is not None or dropout:
        output = attend_blocks(
            query, key, value, row.layout, scaling, sliding_window, softcap, dropout
        )
    else:
        output = attend_flex(query, key, value, row.layout, scaling, sliding_window)
    return output.transpose(1, 2), None


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
) -> torch.Tensor:
    """Attention [1, heads, T, dim], block by block; keys and values start with the kept prefix."""
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
        if softcap is not None:
            outputs.append(_capped(q, k, v, mask, scaling, softcap, dropout))
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
) -> torch.Tensor:
    """Attention [1, heads, width, dim] of one new token per lane; zeros for free lanes."""
    outputs = [torch.zeros_like(query[:, :, :1])] * lanes.width
    for lane in lanes.used:
        here = slice(lane, lane + 1)
        q = query[:, :, here]
        k, v = lanes.extend(lane, layer, key[:, :, here], value[:, :, here], window)
        if softcap is not None:
            mask = torch.ones((1, k.shape[2]), dtype=torch.bool, device=q.device)
            outputs[lane] = _capped(q, k, v, mask, scaling, softcap)
            continue
        outputs[lane] = scaled_dot_product_attention(
            q, k, v, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
    return torch.cat(outputs, dim=2)


def _joined(parts: Sequence[torch.Tensor], which: list[int]) -> torch.Tensor:
    return parts[which[0]] if len(which) == 1 else torch.cat([parts[i] for i in which], dim=2)


def _capped(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention with soft-capped scores, which SDPA does not support."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    scores = q @ k.transpose(2, 3) * (q.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = softcap * torch.tanh(scores / softcap)
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
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


def forward_hidden(
    model: "PreTrainedModel", batch: TokenBatch, prefix: Prefix | None = None
) -> torch.Tensor:
    """Last hidden states [T, hidden] of a packed row, before the language-model head.

    For a model that failed the probe of ``load_model``, every path of the row is a separate pass:
    the same numbers, with prefixes recomputed.

    Args:
        model: a causal language model loaded by ``load_model``.
        batch: the row; segments in depth-first order.
        prefix: the kept prefix that the row continues.
    """
    if not is_packed(model):
        return separate_hidden(model, batch, prefix)
    layout = Layout(batch.lengths, batch.parents, prefix.num_tokens if prefix else 0)
    return _forward(model, batch.ids, _Row(layout, prefix))


def keep_prefix(
    model: "PreTrainedModel", ids: np.ndarray, prefix: Prefix | None = None
) -> tuple[torch.Tensor, Prefix]:
    """Last hidden states [P, hidden] of new tokens, and the prefix that ends with them.

    Without gradient.

    Args:
        model: see ``forward_hidden``.
        ids: token ids [P].
        prefix: the kept prefix that they continue.
    """
    before = prefix.ids if prefix else np.empty(0, np.int64)
    kept = Prefix(np.concatenate([before, ids]).astype(np.int64), {}, {})
    with torch.no_grad():
        if not is_packed(model):
            whole = plain_hidden(model, kept.ids)
            return whole[len(before) :], kept
        layout = Layout((len(ids),), (-1,), len(before))
        return _forward(model, np.asarray(ids, np.int64), _Row(layout, prefix, kept)), kept


@torch.no_grad()
def step_hidden(model: "PreTrainedModel", ids: np.ndarray, lanes: DecodeCache) -> torch.Tensor:
    """Last hidden states [width, hidden] after one more token in every lane in use.

    Args:
        model: a model with packed attention.
        ids: next token of each lane [width]; any id for free lanes.
        lanes: the decode cache; holds the new tokens afterwards.
    """
    row = _Row(Layout((1,) * lanes.width, (-1,) * lanes.width), lanes=lanes)
    hidden = _run(model, np.asarray(ids, np.int64), lanes.num_tokens, row)
    lanes.advance()
    return hidden


def is_packed(model: "PreTrainedModel") -> bool:
    """Whether the model uses packed attention."""
    return model.config.get_text_config()._attn_implementation == PACKED


def _body(model: "PreTrainedModel") -> Any:
    """The model without its head; ``base_model`` is the whole model where no body is named."""
    return model.base_model if model.base_model is not model else model.model


def _forward(model: "PreTrainedModel", ids: np.ndarray, row: _Row) -> torch.Tensor:
    return _run(model, ids, row.layout.positions(), row)


def _device(model: "PreTrainedModel") -> torch.device:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.device


def _run(
    model: "PreTrainedModel", ids: np.ndarray, positions: np.ndarray, row: _Row
) -> torch.Tensor:
    check_rows(model, ids)
    device = _device(model)
    output = _body(model)(
        input_ids=torch.from_numpy(ids)[None].to(device),
        position_ids=torch.from_numpy(positions)[None].to(device),
        packed_row=row,
        use_cache=False,
    )
    return output.last_hidden_state[0]


def plain_hidden(model: "PreTrainedModel", ids: np.ndarray) -> torch.Tensor:
    """Last hidden states [T, hidden] of one sequence, with the model's own attention."""
    check_rows(model, ids)
    device = _device(model)
    output = _body(model)(input_ids=torch.from_numpy(ids)[None].to(device), use_cache=False)
    return output.last_hidden_state[0]


def separate_hidden(
    model: "PreTrainedModel", batch: TokenBatch, prefix: Prefix | None
) -> torch.Tensor:
    """Same as ``forward_hidden``, with one plain pass per leaf."""
    pieces = np.split(batch.ids, np.cumsum(batch.lengths)[:-1])
    hidden_states: list[torch.Tensor | None] = [None] * len(pieces)
    for leaf in sorted(set(range(len(pieces))) - set(batch.parents)):
        path = [leaf]
        while batch.parents[path[0]] >= 0:
            path.insert(0, batch.parents[path[0]])
        before = [prefix.ids] if prefix else []
        hidden = plain_hidden(model, np.concatenate([*before, *[pieces[i] for i in path]]))
        parts = hidden.split([*map(len, before), *[len(pieces[i]) for i in path]])
        for i, part in zip(path, parts[len(before) :], strict=True):
            hidden_states[i] = part
    return torch.cat([states for states in hidden_states if states is not None])
