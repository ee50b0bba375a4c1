"""Attention over packed segments, registered through transformers' attention interface.

A token sees its own segment causally, within the layer's sliding window if it has one, and nothing
of other segments. Grouped heads are honoured; positions are the model's (``position_ids``).

This is the plain form: segments without parents, on CPU by one SDPA call per segment. Prefixes that
segments share, and FlexAttention on an accelerator, are the shared-prefix core's and not here yet:
``forward_hidden`` refuses parents.
"""

from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from polylect.text import TokenBatch

PACKED = "polylect_packed"
"""The name under which transformers knows this attention."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    segment_lengths: tuple[int, ...] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output [1, T, heads, dim] of one packed row.

    Args:
        module: the attention layer; not used.
        query: [1, heads, T, dim].
        key: [1, key heads, T, dim]; key heads divide heads.
        value: as key.
        attention_mask: always None; the segments say who sees whom.
        scaling: factor on the scores; None is 1/sqrt(dim).
        sliding_window: how many tokens back a token sees, itself included; None for all.
        softcap: refused: SDPA cannot cap scores.
        segment_lengths: tokens of each segment, summing to T; None is one segment.
        kwargs: what the model passes to every attention function; not used.
    """
    assert softcap is None, "capped attention scores need their own kernel"
    assert query.shape[0] == 1, "packed rows have no batch dimension"
    lengths = list(segment_lengths or (query.shape[2],))
    grouped = query.shape[1] != key.shape[1]
    outputs = []
    # split, not slices: the backward pass of split is one concatenation, that of a slice fills a
    # whole gradient with zeros for every segment.
    for q, k, v in zip(*(t.split(lengths, dim=2) for t in (query, key, value)), strict=True):
        length = q.shape[2]
        banded = sliding_window is not None and length > sliding_window
        mask = _band(length, sliding_window or 0, q.device) if banded else None
        outputs.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=not banded, scale=scaling, enable_gqa=grouped
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2), None


@lru_cache(maxsize=64)
def _band(length: int, window: int, device: torch.device) -> torch.Tensor:
    """Causal band [length, length]: True where a token may look."""
    at = torch.arange(length, device=device)
    back = at[:, None] - at[None, :]
    return (back >= 0) & (back < window)


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """The mask that transformers asks for: none, the segments carry it."""


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, _no_mask)


def forward_hidden(model: Any, batch: TokenBatch) -> torch.Tensor:
    """Last hidden states [T, hidden] of a packed row, before the language-model head.

    Args:
        model: a causal language model of transformers, loaded by ``load_model``.
        batch: a row whose segments have no parents.
    """
    assert all(parent < 0 for parent in batch.parents), "shared prefixes are not supported yet"
    device = model.get_input_embeddings().weight.device
    output = model.base_model(
        input_ids=torch.from_numpy(batch.ids)[None].to(device),
        position_ids=torch.from_numpy(batch.positions)[None].to(device),
        segment_lengths=batch.lengths,
        use_cache=False,
    )
    return output.last_hidden_state[0]
