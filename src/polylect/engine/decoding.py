"""How a model decodes: how many continuations side by side, and what each keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import digest_of
from polylect.engine.kept_size import KeptSize, size_of
from polylect.models import DecodeCache, keep_prefix, step_hidden

if TYPE_CHECKING:
    from transformers import PreTrainedModel


WIDTH = 16
"""Samples per decoding step."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """What was found out about a model.

    Attributes:
        width: ``WIDTH`` if results do not depend on the lane and its neighbors; otherwise 1.
        kept: keys and values of a token.
    """

    width: int
    kept: KeptSize


def decoding_of(
    model: "PreTrainedModel", logits_of: Callable[[torch.Tensor], np.ndarray]
) -> Decoding:
    """How a packed model decodes.

    Tested once per model structure, since it is a property of the kernels; a router of experts
    chooses by the weights, so that such models are tested one by one.

    Args:
        model: a model with packed attention.
        logits_of: logits [N, vocabulary] of hidden states [N, hidden].
    """
    key = _structure(model)
    decoding = _DECODINGS.get(key) if key else None
    if decoding is None:
        decoding = _try(model, logits_of)
        if key:
            _DECODINGS[key] = decoding
    return decoding


_DECODINGS: dict[str, Decoding] = {}


def _try(model: "PreTrainedModel", logits_of: Callable[[torch.Tensor], np.ndarray]) -> Decoding:
    random = np.random.default_rng(0)
    vocabulary = model.config.get_text_config().vocab_size
    runs = [random.integers(0, vocabulary, 3 + i) for i in range(WIDTH)]
    kept = [keep_prefix(model, run)[1] for run in runs]

    def two_steps(turn: int, used: int) -> dict[int, bytes]:
        lanes = DecodeCache(WIDTH)
        lane_of = {i: (i + turn) % WIDTH for i in range(used)}
        for i, lane in lane_of.items():
            lanes.admit(lane, kept[i].keys, kept[i].values, 2)
        bytes_of = dict.fromkeys(lane_of, b"")
        for _ in range(2):
            ids = np.zeros(WIDTH, np.int64)
            for i, lane in lane_of.items():
                ids[lane] = runs[i][0]
            logits = logits_of(step_hidden(model, ids, lanes))
            bytes_of = {i: bytes_of[i] + logits[lane].tobytes() for i, lane in lane_of.items()}
        return bytes_of

    reference = two_steps(0, WIDTH)
    same = all(
        two_steps(turn, used).items() <= reference.items()
        for turn in range(WIDTH)
        for used in ((1, WIDTH) if turn % 5 else (1, 7, WIDTH))
    )
    return Decoding(WIDTH if same else 1, size_of(kept[0]))


def _structure(model: Any) -> str:
    """Digest of what decides the kernels: all but the weights; empty for a model with a router."""
    config = model.config.to_dict()
    if any("expert" in name and value for name, value in config.items()):
        return ""
    config.pop("_name_or_path", None)
    # Not its ``state_dict``, which gathers a model that is spread over processes.
    tensors = [
        (name, str(tensor.dtype), tensor.device.type, list(tensor.shape))
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    ]
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return digest_of([kind, torch.get_num_threads(), repr(config), tensors])
