"""Loading and saving causal language models: Hugging Face layout, safetensors, nothing remote."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polylect.base import InputError, Ledger, gc_paused
from polylect.checkpoints import Checkpoint, Lineage, seal
from polylect.models._quiet import quiet_loading
from polylect.models._writes import writing
from polylect.models.attention import (
    PACKED,
    forward_hidden,
    is_packed,
    keep_prefix,
    separate_hidden,
)
from polylect.models.head import head_of
from polylect.text import Segment, Tokenizer, pack

SEPARATE = "fell back: separate forward passes"
"""What the ledger counts when an architecture cannot run packed."""

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 2e-2}
_PROBE_WINDOW = 512


def load_model(
    checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32, ledger: Ledger | None = None
) -> Any:
    """The checkpoint's model in evaluation mode, with packed attention.

    A small packed tree is compared with plain forward passes first: an architecture whose layers
    do not go through the attention interface would give wrong numbers. Its passes are made
    separately from then on, which the ledger counts.

    Raises:
        InputError: transformers does not know the architecture, or tensors are missing.
    """
    import transformers

    if "quantization_config" in checkpoint.config:
        from polylect.models.quantized import load_quantized

        def read_quantized(attention: str) -> Any:
            return load_quantized(checkpoint, dtype, attention), {}

        return settle_attention(read_quantized(PACKED)[0], read_quantized, dtype, ledger)

    def read(attention: str) -> Any:
        with quiet_loading(transformers), gc_paused():
            return transformers.AutoModelForCausalLM.from_pretrained(
                checkpoint.path,
                dtype=dtype,
                attn_implementation=attention,
                local_files_only=True,
                output_loading_info=True,
            )

    try:
        try:
            model, found = read(PACKED)
        except KeyError:  # an architecture with a list of attentions of its own (Falcon)
            model, found = read("eager")
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
    return settle_attention(model.eval(), read, dtype, ledger)


def settle_attention(
    model: Any, read: Callable[[str], Any], dtype: torch.dtype, ledger: Ledger | None
) -> Any:
    """The model where it runs packed; else read again with an attention of transformers' own.

    Args:
        model: as read with packed attention.
        read: reads it with a named attention; gives it and what was found.
        dtype: of the weights.
        ledger: counts a fallback.
    """
    if not is_packed(model) or not probe(model) <= _TOLERANCE[dtype]:
        # Read again: some architectures keep the attention that they were built with.
        model = read("eager")[0].eval()
        if ledger is not None:
            ledger.count(SEPARATE, 1, type(model).__name__)
    return model


def check_tokenizer(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    """Nothing, when a checkpoint has the given tokenizer, or none at all.

    Raises:
        InputError: it has another one: the ids would mean something else to it.
    """
    if checkpoint.tokenizer_digest and Tokenizer.load(checkpoint.path).digest != tokenizer.digest:
        raise InputError(
            f"{checkpoint.path}: has another tokenizer than the text",
            "tokenize the text with the checkpoint's own",
        )


@torch.no_grad()
def probe(model: Any) -> float:
    """Largest relative difference of hidden states between a packed tree and separate passes.

    The separate passes use transformers' own attention, so that what the packed one leaves out (an
    attention sink, a chunked mask, a recurrent state) shows. The tree continues a kept prefix; one
    of its runs is longer than the sliding window, up to 512. The head's logits are compared too.
    Infinite where the architecture cannot run packed at all.

    Raises:
        InputError: the head is of a kind that polylect cannot apply.
    """
    config = model.config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    window = min((one for one in windows if one and one <= _PROBE_WINDOW), default=0)
    random = np.random.default_rng(0)
    lengths, parents = (5, 4, 2, window + 3, 3), (-1, 0, 1, 0, -1)
    runs = [random.integers(0, config.vocab_size, length) for length in lengths]
    first, second = (random.integers(0, config.vocab_size, length) for length in (6, 3))
    tree = pack(
        [
            Segment(run, np.zeros(len(run), np.float32), "en", parent)
            for run, parent in zip(runs, parents, strict=True)
        ]
    )
    head = head_of(model) if model.get_output_embeddings() is not None else None
    try:
        prefix = keep_prefix(model, first)[1]
        prefix = keep_prefix(model, second, prefix)[1]
        packed = forward_hidden(model, tree, prefix)
        model.set_attn_implementation("eager")
        plain = separate_hidden(model, tree, prefix)
        if head is None:
            return _relative(packed, plain)
        # The last run continues the prefix alone: its logits are those of one ordinary pass.
        path = torch.from_numpy(np.concatenate([prefix.ids, runs[-1]]))
        whole = model(path[None].to(packed.device), use_cache=False).logits[0]
        headed, alone = head.logits(plain[-lengths[-1] :]), whole[-lengths[-1] :]
    except (TypeError, AssertionError, RuntimeError, AttributeError, KeyError, ValueError):
        return math.inf
    finally:
        model.set_attn_implementation(PACKED)
    if not _relative(headed, alone) <= _TOLERANCE[torch.float32]:
        raise InputError(
            f"{type(model).__name__}: its head is not a plain linear layer",
            "polylect cannot score it yet",
        )
    return _relative(packed, plain)


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def save_model(model: Any, tokenizer: Tokenizer, out: Path, lineage: Lineage) -> Checkpoint:
    """Write model, tokenizer and lineage in Hugging Face layout; ``out`` exists and is ours.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    import transformers

    with writing(out), quiet_loading(transformers):
        model.save_pretrained(out)
        tokenizer.save(out)
    return seal(out, lineage)
