"""Reward models: a body with a scalar head, in transformers' classification layout.

A saved reward model is a ``…ForSequenceClassification`` with one label and no bias; transformers
loads it for every architecture for which it has such a class.
"""

from typing import TYPE_CHECKING, Any

import torch

from polylect.base import InputError, Ledger, gc_paused
from polylect.checkpoints import Checkpoint
from polylect.models._quiet import quiet_loading
from polylect.models.attention import PACKED
from polylect.models.meta_model import CANNOT_BUILD, first_line
from polylect.models.nexus_classes import register_nexus
from polylect.models.nexus_config import is_nexus
from polylect.models.store import settle_attention
from polylect.models.stored_weights import check_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def reward_class(config: Any) -> type:
    """The sequence classification class of an architecture; built where transformers has none.

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
    bases = body.__bases__
    if is_nexus(config):  # a body's class is below its family's, and that below the common one
        bases = (next(kind for kind in body.__mro__ if kind.__name__.endswith("PreTrainedModel")),)
    return type(name, (GenericForSequenceClassification, *bases), {"config_class": type(config)})


def reward_model(model: "PreTrainedModel", pad_id: int) -> "PreTrainedModel":
    """A reward model on the body of a language model, which must not be used on its own afterwards.

    The head is zero: every answer has reward 0 before training.

    Args:
        model: loaded by ``load_model``.
        pad_id: padding token that transformers uses in batches.

    Raises:
        InputError: the architecture has no sequence classification form.
    """
    config = model.config
    config.num_labels, config.pad_token_id = 1, pad_id
    config.get_text_config().pad_token_id = pad_id  # transformers reads before the padding
    kind = reward_class(config)
    with torch.device("meta"):
        reward = kind(config)
    body: Any = model.base_model
    prefix = reward.base_model_prefix
    if type(getattr(reward, prefix, None)) is not type(body) or not hasattr(reward, "score"):
        raise InputError(
            f"{type(model).__name__}: cannot be made a reward model",
            "start from another architecture, e.g. Llama, Qwen, Gemma or Cohere2",
        )
    setattr(reward, prefix, body)
    weight = body.get_input_embeddings().weight
    reward.score = torch.nn.Linear(
        config.hidden_size, 1, bias=False, dtype=weight.dtype, device=weight.device
    )
    torch.nn.init.zeros_(reward.score.weight)
    return reward


def reward_skeleton(checkpoint: Checkpoint) -> "PreTrainedModel":
    """The reward model of a checkpoint on the meta device: its config and names, no weights.

    Raises:
        InputError: it is not a reward model, transformers does not know the architecture, or a
            tensor is missing or has another shape.
    """
    import transformers

    labels = checkpoint.config.get("id2label", {})
    architecture = str((checkpoint.config.get("architectures") or [""])[0])
    if not architecture.endswith("ForSequenceClassification") or len(labels or {0: 0}) != 1:
        raise InputError(
            f"{checkpoint.path}: not a reward model ({architecture or 'no architecture'},"
            f" {len(labels)} labels)",
            "polylect train reward makes one",
        )
    register_nexus(checkpoint.config)
    try:
        with quiet_loading(transformers), gc_paused(), torch.device("meta"):
            config = transformers.AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)
            kind: Any = reward_class(config)
            model = kind(config)
    except CANNOT_BUILD as error:
        raise InputError(
            f"{checkpoint.path}: transformers cannot build it ({first_line(error)})"
        ) from None
    check_weights(checkpoint, model)
    return model


def load_reward_model(checkpoint: Checkpoint, ledger: Ledger | None = None) -> "PreTrainedModel":
    """The reward model of a checkpoint in float32, in evaluation mode, with packed attention.

    Raises:
        InputError: as ``reward_skeleton``.
    """
    import transformers

    kind: Any = type(reward_skeleton(checkpoint))
    with quiet_loading(transformers), gc_paused():
        config = transformers.AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)

        def read(attention: str) -> Any:
            return kind.from_pretrained(
                checkpoint.path, config=config, dtype=torch.float32, local_files_only=True,
                attn_implementation=attention, output_loading_info=True,
            )  # fmt: skip

        return settle_attention(read(PACKED)[0].eval(), read, torch.float32, ledger)
