"""Tensors of a checkpoint that are computed or counted, not trained: what is no weight."""

import re
from collections.abc import Sequence

_COMPUTED = re.compile(
    r"(?:^|[._])(?:inv_freq|inv_timescales|freqs_cis|(?:cos|sin)_cached|masked_bias|position_ids"
    r"|token_type_ids|relative_position_index)$"
)
_NAME = re.compile(
    r"(?:^|[._])(?:inv_freq|inv_timescales|freqs_cis|(?:cos|sin)_cached|masked_bias|position_ids"
    r"|token_type_ids|relative_position_index|final_logits_bias|slope_rate|(?:query|key)_decay"
    r"|diagonal_decay|running_mean|running_var|num_batches_tracked)$"
)
_CAUSAL_MASK = re.compile(r"(?:^|\.)(?:attn|attention|self_attn)\.bias$")


def is_buffer(name: str, shape: Sequence[int]) -> bool:
    """Whether a tensor is a buffer: rotary frequencies, masks, positions, running statistics.

    By the names that transformers' models give to the buffers they save, or once saved. The bias
    that old GPT-2 and GPT-NeoX files hold in their attention is one where it has the shape of a
    mask, [1, 1, length, length].

    >>> is_buffer("model.layers.0.self_attn.rotary_emb.inv_freq", (32,))
    True
    >>> is_buffer("h.0.attn.bias", (1, 1, 1024, 1024)), is_buffer("h.0.attn.bias", (768,))
    (True, False)
    """
    is_mask = len(shape) == 4 and tuple(shape[:2]) == (1, 1)
    return bool(_NAME.search(name)) or (is_mask and bool(_CAUSAL_MASK.search(name)))


def is_computed(name: str, shape: Sequence[int]) -> bool:
    """Whether a buffer is one that a model computes when it is built, whatever its file holds.

    Rotary frequencies, masks and positions: older transformers saved them, newer ones do not. Not
    running statistics, which are learned.
    """
    is_mask = len(shape) == 4 and tuple(shape[:2]) == (1, 1)
    return bool(_COMPUTED.search(name)) or (is_mask and bool(_CAUSAL_MASK.search(name)))
