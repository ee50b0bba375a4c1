"""Loading and saving causal language models: Hugging Face layout, safetensors, nothing remote."""

from pathlib import Path
from typing import Any

import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, Lineage, seal
from polylect.models._writes import writing
from polylect.models.attention import PACKED, forward_hidden
from polylect.models.head import head_of
from polylect.text import Segment, Tokenizer, pack

_PROBE_TOLERANCE = 1e-3
_PROBE_WINDOW = 512


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
            model, found = transformers.AutoModelForCausalLM.from_pretrained(
                checkpoint.path,
                dtype=dtype,
                attn_implementation=PACKED,
                local_files_only=True,
                output_loading_info=True,
            )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{checkpoint.path}: transformers cannot load it ({reason})") from None
    absent = sorted({*map(str, found["missing_keys"]), *map(str, found["mismatched_keys"])})
    if absent:
        # transformers would go on with random numbers in their place.
        raise InputError(
            f"{checkpoint.path}: {len(absent)} tensors of the architecture are not there or of"
            f" another shape (first: {absent[0]})",
            "fetch or make the checkpoint again",
        )
    model.eval()
    probe(model)
    return model


def check_tokenizer(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    """Nothing, when a checkpoint has the given tokeniser, or none at all.

    Raises:
        InputError: it has another one: the ids would mean something else to it.
    """
    if checkpoint.tokenizer_digest and Tokenizer.load(checkpoint.path).digest != tokenizer.digest:
        raise InputError(
            f"{checkpoint.path}: has another tokeniser than the text",
            "tokenise the text with the checkpoint's own",
        )


@torch.no_grad()
def probe(model: Any) -> float:
    """Largest difference of logits between a packed row and separate plain forward passes.

    The plain passes use transformers' own attention, so that what the packed one leaves out (an
    attention sink, a chunked mask) shows. One run is longer than the sliding window, up to 512.

    Raises:
        InputError: it exceeds 1e-3, or the architecture cannot run packed at all.
    """
    import numpy as np

    config = model.config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    window = min((one for one in windows if one and one <= _PROBE_WINDOW), default=0)
    random = np.random.default_rng(0)
    lengths = (5, 17, 2, window + 3)
    runs = [random.integers(0, config.vocab_size, length) for length in lengths]
    batch = pack([Segment(one, np.zeros(len(one), np.float32), "en") for one in runs])
    try:
        packed = head_of(model).logits(forward_hidden(model, batch))
        model.set_attn_implementation("eager")
        plain = torch.cat(
            [model(torch.from_numpy(one)[None], use_cache=False).logits[0] for one in runs]
        )
        worst = float((packed - plain).abs().max() / plain.abs().max().clamp(min=1.0))
    except (TypeError, AssertionError, RuntimeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _unsupported(model, f"cannot run packed segments ({reason})") from None
    finally:
        model.set_attn_implementation(PACKED)
    if not worst <= _PROBE_TOLERANCE:
        raise _unsupported(model, f"packed and separate passes differ by {worst:.2g}")
    return worst


def _unsupported(model: Any, what: str) -> InputError:
    return InputError(
        f"{type(model).__name__}: {what}",
        "only architectures on transformers' attention interface are supported so far",
    )


def save_model(model: Any, tokenizer: Tokenizer, out: Path, lineage: Lineage) -> Checkpoint:
    """Write model, tokeniser and lineage in Hugging Face layout; ``out`` exists and is ours.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    import transformers

    with writing(out), _quiet(transformers):
        model.save_pretrained(out)
        tokenizer.save(out)
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
