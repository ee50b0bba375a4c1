"""The body of any checkpoint that reads text: a decoder, an encoder, or the encoder of both."""

from typing import Any

import torch

from polylect.base import InputError, gc_paused
from polylect.checkpoints import Checkpoint
from polylect.models._quiet import quiet_loading
from polylect.models.meta_model import CANNOT_BUILD, first_line
from polylect.models.nexus_classes import register_nexus
from polylect.models.store import load_model


def load_body(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> Any:
    """The model without a head, in evaluation mode: no dropout; with the model's own attention.

    Args:
        checkpoint: of a language model, a masked one, a reward model or a bare body.
        dtype: of weights and activations.

    Raises:
        InputError: transformers does not know the architecture, or tensors are missing or have
            another shape.
    """
    import transformers

    if checkpoint.is_quantized:
        model: Any = load_model(checkpoint, dtype=dtype)
        model.set_attn_implementation("sdpa")
        return _settled(model.base_model)
    register_nexus(checkpoint.config)
    try:
        with quiet_loading(transformers), gc_paused():
            model, about = transformers.AutoModel.from_pretrained(
                checkpoint.path, dtype=dtype, local_files_only=True, use_safetensors=True,
                output_loading_info=True,
            )  # fmt: skip
    except (*CANNOT_BUILD, OSError, RuntimeError) as error:
        raise _cannot(checkpoint, error) from None
    absent = sorted(
        str(key)
        for kind in ("missing_keys", "mismatched_keys")
        for key in about[kind]
        if "pooler." not in str(key)
    )
    if absent:
        # transformers would continue with random weights in their place.
        raise InputError(
            f"{checkpoint.path}: {len(absent)} tensors are missing or have another shape"
            f" (first: {absent[0]})",
            "fetch or make the checkpoint again",
        )
    return _settled(model)


def body_limits(checkpoint: Checkpoint) -> tuple[int | None, int]:
    """Most tokens that a body takes, None if its config does not say, and its embedding's rows.

    No weights are read. Bodies that count positions from behind the padding token (RoBERTa) take
    fewer than their table of positions has rows.

    Raises:
        InputError: transformers does not know the architecture.
    """
    import transformers

    register_nexus(checkpoint.config)
    try:
        with quiet_loading(transformers), gc_paused(), torch.device("meta"):
            config = transformers.AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)
            body: Any = transformers.AutoModel.from_config(config)
    except (*CANNOT_BUILD, OSError, RuntimeError) as error:
        raise _cannot(checkpoint, error) from None
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    for name, module in body.named_modules():
        padding = getattr(module, "padding_idx", None)
        if limit and name.endswith("position_embeddings") and padding is not None:
            limit -= padding + 1
    rows = body.get_input_embeddings().weight.shape[0]
    return (int(limit) if limit and limit > 0 else None), int(rows)


def _settled(model: Any) -> Any:
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # not read, and random where the checkpoint has none
    model.config.use_cache = False
    return model.eval()


def _cannot(checkpoint: Checkpoint, error: Exception) -> InputError:
    return InputError(
        f"{checkpoint.path}: transformers cannot load it ({first_line(error)})",
        "give a checkpoint in safetensors whose architecture transformers knows",
    )
