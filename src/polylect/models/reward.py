"""Reward models: a body and a head of one number, in transformers' layout for classification.

A saved one is a ``…ForSequenceClassification`` of one label, without bias: transformers loads it
itself for every architecture for which it has such a class.
"""

from typing import Any

import torch

from polylect.base import InputError, Ledger, gc_paused
from polylect.checkpoints import Checkpoint
from polylect.models._quiet import quiet_loading
from polylect.models.attention import PACKED
from polylect.models.store import settle_attention


def reward_class(config: Any) -> type:
    """Transformers' class of an architecture with a head for labels; made where there is none.

    Raises:
        InputError: transformers does not know the architecture.
    """
    from transformers import AutoModel, AutoModelForSequenceClassification
    from transformers.modeling_layers import GenericForSequenceClassification

    known = AutoModelForSequenceClassification._model_mapping
    if type(config) in known:
        return known[type(config)]
    if type(config) not in AutoModel._model_mapping:
        raise InputError(f"{type(config).__name__}: transformers has no body of this architecture")
    body = AutoModel._model_mapping[type(config)]
    name = body.__name__.removesuffix("Model") + "ForSequenceClassification"
    return type(name, (GenericForSequenceClassification, *body.__bases__), {})


def reward_model(model: Any, pad_id: int) -> Any:
    """A reward model on the body of a language model, which is no longer usable on its own.

    Its head is zero: every answer is worth the same until it has learned.

    Args:
        model: loaded by ``load_model``.
        pad_id: what transformers pads with when it scores several texts at once.

    Raises:
        InputError: the architecture has no such form.
    """
    config = model.config
    config.num_labels, config.pad_token_id = 1, pad_id
    kind = reward_class(config)
    with torch.device("meta"):
        made = kind(config)
    body, prefix = model.base_model, made.base_model_prefix
    if type(getattr(made, prefix, None)) is not type(body) or not hasattr(made, "score"):
        raise InputError(
            f"{type(model).__name__}: cannot be made a reward model",
            "begin with another architecture, e.g. Llama, Qwen, Gemma or Cohere2",
        )
    setattr(made, prefix, body)
    weight = body.get_input_embeddings().weight
    made.score = torch.nn.Linear(
        config.hidden_size, 1, bias=False, dtype=weight.dtype, device=weight.device
    )
    torch.nn.init.zeros_(made.score.weight)
    return made


def load_reward_model(checkpoint: Checkpoint, ledger: Ledger | None = None) -> Any:
    """The reward model of a checkpoint in float32, in evaluation mode, with packed attention.

    Raises:
        InputError: it is none, or tensors are missing.
    """
    import transformers

    labels = checkpoint.config.get("id2label", {})
    named = str((checkpoint.config.get("architectures") or [""])[0])
    if not named.endswith("ForSequenceClassification") or len(labels or {0: 0}) != 1:
        raise InputError(
            f"{checkpoint.path}: not a reward model ({named or 'no architecture'},"
            f" {len(labels)} labels)",
            "polylect train reward makes one",
        )
    with quiet_loading(transformers), gc_paused():
        config = transformers.AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)
        kind: Any = reward_class(config)

        def read(attention: str) -> Any:
            return kind.from_pretrained(
                checkpoint.path, config=config, dtype=torch.float32, local_files_only=True,
                attn_implementation=attention, output_loading_info=True,
            )  # fmt: skip

        model, found = read(PACKED)
        absent = sorted(map(str, found["missing_keys"]))
        if absent:
            raise InputError(
                f"{checkpoint.path}: {len(absent)} tensors are not there (first: {absent[0]})",
                "fetch or make the checkpoint again",
            )
        return settle_attention(model.eval(), read, torch.float32, ledger)
