"""What a loaded model can do: run packed, and have its head computed apart from its body.

An architecture is judged by its numbers on a few tokens, not by a table of names.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError
from polylect.models.attention import PACKED
from polylect.models.forward import forward_hidden, keep_prefix, plain_hidden, separate_hidden
from polylect.models.head import head_of
from polylect.text import Segment, pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_WINDOW = 8
"""Window of a probe: layers with a larger one get this one meanwhile."""
_WINDOWS = ("sliding_window", "attention_chunk_size", "attention_window_size")
_HEAD_TOLERANCE = 1e-3
_LOW_TOLERANCE = 5e-2


@torch.no_grad()
def probe(model: "PreTrainedModel") -> float:
    """Largest relative difference of hidden states between a packed tree and separate passes.

    The separate passes use transformers' eager attention, so that anything packed attention leaves
    out (a chunked mask, a recurrent state) shows. The tree continues a kept prefix, and one segment
    is longer than every window: windows of more than 8 tokens are 8 tokens during the probe, in
    both. Infinite where the architecture cannot run packed at all.
    """
    vocab_size = model.config.get_text_config().vocab_size
    random = np.random.default_rng(0)
    lengths, parents = (5, 4, 2, _WINDOW + 3, 3), (-1, 0, 1, 0, -1)
    runs = [random.integers(0, vocab_size, length) for length in lengths]
    first, second = (random.integers(0, vocab_size, length) for length in (6, 3))
    tree = pack(
        [
            Segment(run, np.zeros(len(run), np.float32), "en", parent)
            for run, parent in zip(runs, parents, strict=True)
        ]
    )
    try:
        with _small_windows(model):
            prefix = keep_prefix(model, first)[1]
            prefix = keep_prefix(model, second, prefix)[1]
            packed = forward_hidden(model, tree, prefix)
            model.set_attn_implementation("eager")
            plain = separate_hidden(model, tree, prefix)
    except (TypeError, AssertionError, RuntimeError, AttributeError, KeyError, ValueError):
        return math.inf
    finally:
        model.set_attn_implementation(PACKED)
    return _relative(packed, plain)


@contextmanager
def _small_windows(model: "PreTrainedModel") -> Iterator[None]:
    """A context in which every window is at most 8 tokens.

    Some architectures hand the window to the attention function, others only draw it into a mask
    that packed attention does not see. Both read it from the config or keep a copy in a module.
    """
    owners: dict[int, Any] = {id(model.config.get_text_config()): model.config.get_text_config()}
    for module in model.modules():
        owners[id(module)] = module
        config = getattr(module, "config", None)
        if config is not None:
            owners[id(config)] = config
    changed: list[tuple[Any, str, int]] = []
    for owner in owners.values():
        for name in _WINDOWS:
            size = getattr(owner, name, None)
            if isinstance(size, int) and size > _WINDOW:
                changed.append((owner, name, size))
                setattr(owner, name, _WINDOW)
    try:
        yield
    finally:
        for owner, name, size in changed:
            setattr(owner, name, size)


@torch.no_grad()
def check_head(model: "PreTrainedModel") -> None:
    """Check that scores can be computed: by the body, then the head, from the tokens before alone.

    A model without a head (a reward model) passes.

    Raises:
        InputError: transformers cannot run the model, it computes what is not finite, its head is
            none that polylect knows, or its predictions depend on later tokens (XLNet).
    """
    if model.get_output_embeddings() is None:
        return
    head = head_of(model)
    ids = np.random.default_rng(1).integers(0, model.config.get_text_config().vocab_size, 7)
    kind = type(model).__name__
    try:
        hidden = plain_hidden(model, ids)
        shorter = plain_hidden(model, ids[:4])
        row = torch.from_numpy(ids)[None].to(hidden.device)
        expected = model(input_ids=row, use_cache=False).logits[0].float()
    except (TypeError, RuntimeError, AttributeError, KeyError, ValueError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{kind}: transformers cannot run it ({reason})") from None
    if not bool(torch.isfinite(expected).all()):
        refuse_not_finite(model)
        raise InputError(
            f"{model.name_or_path or kind}: its weights are finite, its predictions are not",
            "try --dtype float32, or fetch or make the checkpoint again",
        )
    exact = head.weight.dtype == torch.float32
    tolerance = _HEAD_TOLERANCE if exact else _LOW_TOLERANCE
    if not _relative(head.logits(hidden).float(), expected) <= tolerance:
        raise InputError(
            f"{kind}: what it does after its last layer is no linear head of a known kind",
            "polylect cannot score it yet",
        )
    if not _relative(shorter.float(), hidden[: len(shorter)].float()) <= tolerance:
        raise InputError(
            f"{kind}: its predictions depend on the tokens after them",
            "take a model that reads from left to right",
        )


def refuse_not_finite(model: "PreTrainedModel") -> None:
    """Say which weight makes a model predict what is no number.

    Raises:
        InputError: a weight is NaN or infinite; names the first.
    """
    path = model.name_or_path or type(model).__name__
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(
                f"{path}: {name} has a value that is NaN or infinite",
                "fetch or make the checkpoint again",
            )


def _relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1.0))
