"""Loading and saving causal language models: Hugging Face layout, safetensors, nothing remote."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from polylect.base import InputError, Ledger, PolylectError, gc_paused
from polylect.checkpoints import Checkpoint, Lineage, seal
from polylect.models._quiet import quiet_loading
from polylect.models._writes import writing
from polylect.models.attention import PACKED
from polylect.models.forward import is_packed
from polylect.models.nexus import given_experts
from polylect.models.oracle import is_oracle
from polylect.models.probing import check_head, probe, refuse_not_finite
from polylect.models.stored_weights import check_language_model
from polylect.text import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SEPARATE = "fell back: separate forward passes (the same numbers, more time)"
"""Ledger event: the architecture does not run packed."""

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 2e-2}


def load_model(
    checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32, ledger: Ledger | None = None
) -> "PreTrainedModel":
    """The checkpoint's model in evaluation mode, with packed attention.

    A small packed tree is compared with plain forward passes first: an architecture whose layers
    bypass the attention interface would give wrong numbers. Such a model gets separate passes,
    counted in the ledger.

    Raises:
        InputError: it is no language model, transformers does not know the architecture, tensors
            are missing (see ``stored_weights``), a weight is not finite, or the head is none that
            polylect computes itself.
    """
    import transformers

    check_language_model(checkpoint)
    if checkpoint.is_quantized:
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

    Raises:
        InputError: see ``check_head``.
    """
    from polylect.models.stacked_experts import use_stacked_experts

    use_stacked_experts(model)
    with given_experts(model, 0 if is_oracle(model) else None):
        distance = probe(model) if is_packed(model) else math.inf
    if math.isnan(distance):
        refuse_not_finite(model)
    if not distance <= _TOLERANCE[dtype]:
        # Load again: some architectures keep the attention that they were built with.
        model = read("eager")[0].eval()
        use_stacked_experts(model)
        if ledger is not None:
            ledger.count(SEPARATE, 1, type(model).__name__)
    with given_experts(model, 0 if is_oracle(model) else None):
        check_head(model)
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
