"""How many numbers a model keeps for a token that it has read: its keys and values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polylect.models import Prefix, is_packed, keep_prefix

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class KeptSize:
    """Numbers that one token keeps.

    Attributes:
        all_layers: its keys and values in all layers.
        widest_layer: in the layer that keeps the most.
        widest_head: the widest key of one head.
    """

    all_layers: int
    widest_layer: int
    widest_head: int


def kept_size(model: "PreTrainedModel") -> KeptSize:
    """What a token keeps in a model, measured with one; by its config if it does not run packed."""
    if is_packed(model):
        return size_of(keep_prefix(model, np.zeros(1, np.int64))[1])
    config = model.config.get_text_config()
    heads = setting(config, "num_attention_heads") or 1
    head = setting(config, "head_dim") or config.hidden_size // heads
    layer = 2 * (setting(config, "num_key_value_heads") or heads) * head
    return KeptSize(layer * config.num_hidden_layers, layer, head)


def size_of(prefix: Prefix) -> KeptSize:
    """What a token of a kept prefix keeps: keys and values may differ in width, layers too."""
    layers = [
        keys.shape[1] * keys.shape[3] + values.shape[1] * values.shape[3]
        for keys, values in zip(prefix.keys.values(), prefix.values.values(), strict=True)
    ]
    heads = [keys.shape[3] for keys in prefix.keys.values()]
    return KeptSize(sum(layers), max(layers, default=0), max(heads, default=0))


def setting(config: Any, name: str) -> int:
    """A size in a config, the largest where layers differ; 0 where there is none."""
    try:
        value = getattr(config, name, None)
    except Exception:  # transformers refuses to read what differs from layer to layer
        return 0
    if isinstance(value, list | tuple):
        return max((size for size in value if isinstance(size, int)), default=0)
    return value if isinstance(value, int) else 0
