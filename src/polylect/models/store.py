"""Loading and saving causal language models: Hugging Face layout, safetensors, nothing remote."""

from pathlib import Path
from typing import Any

import torch

from polylect.base import InputError, storage_error
from polylect.checkpoints import Checkpoint, Lineage, seal
from polylect.models.attention import PACKED, forward_hidden
from polylect.models.head import head_of
from polylect.text import Segment, Tokenizer, pack

_PROBE_TOLERANCE = 1e-3


def load_model(checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32) -> Any:
    """The checkpoint's model in evaluation mode, with packed attention.

    A small packed row is compared with plain forward passes first: an architecture whose layers do
    not go through the attention interface would give wrong numbers, and is refused.

    Raises:
        InputError: transformers does not know the architecture, or it fails the probe.
    """
    import transformers

    try:
        with _quiet(transformers):
            model = transformers.AutoModelForCausalLM.from_pretrained(
                checkpoint.path, dtype=dtype, attn_implementation=PACKED, local_files_only=True
            )
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(f"{checkpoint.path}: transformers cannot load it ({reason})") from None
    model.eval()
    probe(model)
    return model


@torch.no_grad()
def probe(model: Any) -> float:
    """Largest difference of logits between a packed row and separate plain forward passes.

    Raises:
        InputError: it exceeds 1e-3, or the architecture cannot run packed at all.
    """
    import numpy as np

    vocab = model.config.get_text_config().vocab_size
    random = np.random.default_rng(0)
    runs = [random.integers(0, vocab, length) for length in (5, 17, 2)]
    batch = pack([Segment(one, np.zeros(len(one), np.float32), "en") for one in runs])
    head = head_of(model)
    try:
        packed = head.logits(forward_hidden(model, batch))
        plain = torch.cat(
            [model(torch.from_numpy(one)[None], use_cache=False).logits[0] for one in runs]
        )
        worst = float((packed - plain).abs().max() / plain.abs().max().clamp(min=1.0))
    except (TypeError, AssertionError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{type(model).__name__}: cannot run packed segments ({reason})",
            "only architectures on transformers' attention interface are supported so far",
        ) from None
    if not worst <= _PROBE_TOLERANCE:
        raise InputError(
            f"{type(model).__name__}: packed and separate passes differ by {worst:.2g}",
            "only architectures on transformers' attention interface are supported so far",
        )
    return worst


def save_model(model: Any, tokenizer: Tokenizer, out: Path, lineage: Lineage) -> Checkpoint:
    """Write model, tokeniser and lineage in Hugging Face layout; ``out`` exists and is ours.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    import transformers

    try:
        with _quiet(transformers):
            model.save_pretrained(out)
        tokenizer.save(out)
    except OSError as error:
        raise storage_error(error, out) from error
    except Exception as error:
        # safetensors raises its own error for a failed write, with the system's words inside.
        if type(error).__name__ != "SafetensorError":
            raise
        raise storage_error(
            OSError(28 if "No space" in str(error) else 5, str(error)), out
        ) from error
    return seal(out, lineage)


class _quiet:
    """Silence transformers' progress bars and advice while loading and saving."""

    def __init__(self, transformers: Any) -> None:
        self._logging = transformers.utils.logging

    def __enter__(self) -> None:
        self._level = self._logging.get_verbosity()
        self._bars = self._logging.is_progress_bar_enabled()
        self._logging.set_verbosity_error()
        self._logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        self._logging.set_verbosity(self._level)
        if self._bars:
            self._logging.enable_progress_bar()
