"""Forward passes of packed rows, kept prefixes and decoding steps, up to the last hidden states.

A model that does not run packed gets the same numbers from separate passes, one for every path of
the row. Nothing here knows the head.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.models.attention import PACKED, Prefix, Row
from polylect.models.decode_cache import DecodeCache
from polylect.models.oracle import told
from polylect.models.rotary import unscaled_tokens
from polylect.models.segment_mask import Layout
from polylect.models.token_rows import check_rows
from polylect.text import TokenBatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forward_hidden(
    model: "PreTrainedModel", batch: TokenBatch, prefix: Prefix | None = None
) -> torch.Tensor:
    """Last hidden states [T, hidden] of a packed row, before the language-model head.

    For a model that failed the probe of ``load_model``, every path of the row is a separate pass:
    the same numbers, with prefixes recomputed. So it is for a row with a path that is longer than
    the model's ``unscaled_tokens``.

    Args:
        model: a causal language model loaded by ``load_model``.
        batch: the row; segments in depth-first order.
        prefix: the kept prefix that the row continues.
    """
    layout = Layout(batch.lengths, batch.parents, prefix.num_tokens if prefix else 0)
    if not is_packed(model) or not _unscaled(model, int(layout.positions().max()) + 1):
        return separate_hidden(model, batch, prefix)
    with told(model, batch.languages, batch.lengths):
        return _forward(model, batch.ids, Row(layout, prefix))


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
        if not is_packed(model) or (prefix and not _unscaled(model, kept.num_tokens)):
            whole = plain_hidden(model, kept.ids)
            return whole[len(before) :], kept
        layout = Layout((len(ids),), (-1,), len(before))
        return _forward(model, np.asarray(ids, np.int64), Row(layout, prefix, kept)), kept


@torch.no_grad()
def step_hidden(model: "PreTrainedModel", ids: np.ndarray, lanes: DecodeCache) -> torch.Tensor:
    """Last hidden states [width, hidden] after one more token in every lane in use.

    Args:
        model: a model with packed attention.
        ids: next token of each lane [width]; any id for free lanes.
        lanes: the decode cache; holds the new tokens afterwards.
    """
    row = Row(Layout((1,) * lanes.width, (-1,) * lanes.width), lanes=lanes)
    hidden = _run(model, np.asarray(ids, np.int64), lanes.num_tokens, row)
    lanes.advance()
    return hidden


def is_packed(model: "PreTrainedModel") -> bool:
    """Whether the model uses packed attention."""
    return model.config.get_text_config()._attn_implementation == PACKED


def _unscaled(model: "PreTrainedModel", num_tokens: int) -> bool:
    """Whether positions of a sequence of that length are those of its prefixes."""
    limit = unscaled_tokens(model.config.get_text_config())
    return limit is None or num_tokens <= limit


def body_of(model: "PreTrainedModel") -> Any:
    """The model without its head; ``base_model`` is the whole model where no body is named."""
    return model.base_model if model.base_model is not model else model.model


def _forward(model: "PreTrainedModel", ids: np.ndarray, row: Row) -> torch.Tensor:
    return _run(model, ids, row.layout.positions(), row)


def _device(model: "PreTrainedModel") -> torch.device:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.device


def _run(
    model: "PreTrainedModel", ids: np.ndarray, positions: np.ndarray, row: Row
) -> torch.Tensor:
    check_rows(model, ids)
    device = _device(model)
    output = body_of(model)(
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
    output = body_of(model)(input_ids=torch.from_numpy(ids)[None].to(device), use_cache=False)
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
        lengths = [*map(len, before), *[len(pieces[i]) for i in path]]
        # Nothing says what language a prefix is of: that of the text that it stands before.
        languages = [batch.languages[i] for i in [*path[: len(before)], *path]]
        with told(model, languages, lengths):
            hidden = plain_hidden(model, np.concatenate([*before, *[pieces[i] for i in path]]))
        parts = hidden.split(lengths)
        for i, part in zip(path, parts[len(before) :], strict=True):
            hidden_states[i] = part
    return torch.cat([states for states in hidden_states if states is not None])
