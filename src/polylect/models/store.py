"""Loading and saving causal language models: Hugging Face layout, safetensors, nothing remote."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError, Ledger, PolylectError, gc_paused
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

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SEPARATE = "fell back: separate forward passes"
"""Ledger event: the architecture does not run packed."""

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 2e-2}
_PROBE_WINDOW = 512


def load_model(
    checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32, ledger: Ledger | None = None
) -> "PreTrainedModel":
    """The checkpoint's model in evaluation mode, with packed attention.

    A small packed tree is compared with plain forward passes first: an architecture whose layers
    bypass the attention interface would give wrong numbers. Such a model gets separate passes,
    counted in the ledger.

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
            model, loading_info = read(PACKED)
        except KeyError:  # an architecture with its own list of attention implementations (Falcon)
            model, loading_info = read("eager")
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{checkpoint.path}: transformers cannot load it ({reason})") from None
    absent = sorted(
        str(key) for kind in ("missing_keys", "mismatched_keys") for key in loading_info[kind]
    )
    if absent:
        # transformers would continue with random weights in their place.
        raise InputError(
            f"{checkpoint.path}: {len(absent)} tensors are missing or have another shape"
            f" (first: {absent[0]})",
            "fetch or make the checkpoint again",
        )
    return settle_attention(model.eval(), read, dtype, ledger)


def settle_attention(
    model: "PreTrainedModel", read: Callable[[str], Any], dtype: torch.dtype, ledger: Ledger | None
) -> "PreTrainedModel":
    """The model if it runs packed, else the model loaded again with eager attention.

    Args:
        model: loaded with packed attention.
        read: loads it with a named attention implementation; returns it and the loading info.
        dtype: type of the weights.
        ledger: counts a fallback.
    """
    distance = probe(model) if is_packed(model) else math.inf
    if math.isnan(distance):
        refuse_not_finite(model)
    if not distance <= _TOLERANCE[dtype]:
        # Load again: some architectures keep the attention that they were built with.
        model = read("eager")[0].eval()
        if ledger is not None:
            ledger.count(SEPARATE, 1, type(model).__name__)
    return model


def on_device(model: "PreTrainedModel", device: torch.device) -> "PreTrainedModel":
    """The model, moved to a device."""
    torch.nn.Module.to(model, device)  # transformers leaves its own ``to`` untyped
    return model


def check_tokenizer(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    """Check that a checkpoint has the given tokenizer, or none.

    Raises:
        InputError: its tokenizer differs, so that token ids would mean something else.
    """
    if checkpoint.tokenizer_digest and Tokenizer.load(checkpoint.path).digest != tokenizer.digest:
        raise InputError(
            f"{checkpoint.path}: its tokenizer differs from that of the text",
            "tokenize the text with the checkpoint's own",
        )


@torch.no_grad()
def probe(model: "PreTrainedModel") -> float:
    """Largest relative difference of hidden states between a packed tree and separate passes.

    The separate passes use transformers' eager attention, so that anything packed attention leaves
    out (an attention sink, a chunked mask, a recurrent state) shows. The tree continues a kept
    prefix, and one segment is longer than the sliding window, up to 512. The head's logits are
    compared too. Infinite where the architecture cannot run packed at all.

    Raises:
        InputError: the head is not a plain linear layer.
    """
    config = model.config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    window = min((size for size in windows if size and size <= _PROBE_WINDOW), default=0)
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
    distance = _relative(headed, alone)
    if math.isnan(distance):
        refuse_not_finite(model)
        raise InputError(
            f"{model.name_or_path or type(model).__name__}: its weights are finite, its predictions"
            " are not",
            "try --dtype float32, or fetch or make the checkpoint again",
        )
    if not distance <= _TOLERANCE[torch.float32]:
        raise InputError(
            f"{type(model).__name__}: its head is not a plain linear layer",
            "polylect cannot score it yet",
        )
    return _relative(packed, plain)


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


def save_model(
    model: "PreTrainedModel", tokenizer: Tokenizer, out: Path, lineage: Lineage
) -> Checkpoint:
    """Write model, tokenizer and lineage in Hugging Face layout into the existing folder ``out``.

    Files of the tokenizer that were carried into ``out`` stay: see ``Tokenizer.save_beside``.

    Raises:
        PolylectError: a weight is not finite: nothing is written.
        StorageError: the disk is full or the folder cannot be written.
    """
    import transformers

    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise PolylectError(f"{name} is not finite; the model was not saved",
                                "make it again from a checkpoint that is")  # fmt: skip
    with writing(out), quiet_loading(transformers):
        model.save_pretrained(out)
        tokenizer.save_beside(out)
    return seal(out, lineage)
