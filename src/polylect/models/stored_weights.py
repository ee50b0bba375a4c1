"""Whether a checkpoint holds the weights of its model: from headers and config, no tensor is read.

Loading and its dry run ask here, so that one refuses what the other does. What only values show is
not seen: NaN, what a head does besides, attention that cannot run packed.
"""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models.attention import PACKED
from polylect.models.head import head_of
from polylect.models.meta_model import skeleton
from polylect.models.name_conversion import weight_names
from polylect.models.quantized import low_bit_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_AGAIN = "fetch or make the checkpoint again"
_NOT_LANGUAGE_MODELS = (
    "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
    "ForMultipleChoice", "ForMaskedLM",
)  # fmt: skip
_WHOLE_NUMBERS = ("BOOL", "U8", "I8", "I16", "I32", "I64")


def check_language_model(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint can be loaded as a causal language model.

    A model with another head is refused by its name: where embeddings are tied, transformers would
    put a language model's head on its body without a word.

    Raises:
        InputError: it is of another kind, transformers does not know the architecture, its head is
            no linear layer, or a tensor is missing, has another shape than config.json says, or
            whole numbers for weights.
    """
    architecture = str((checkpoint.config.get("architectures") or [""])[0])
    if architecture.endswith(_NOT_LANGUAGE_MODELS):
        hint = "give the model that it was made from"
        if architecture.endswith("ForSequenceClassification"):
            hint += ", or a reward model where a reward is asked for: train online --reward"
        raise InputError(f"{checkpoint.path}: no language model ({architecture})", hint)
    model = skeleton(checkpoint, PACKED)
    if not checkpoint.is_quantized and model.get_output_embeddings() is not None:
        head_of(model)
    check_weights(
        checkpoint, model, low_bit_names(checkpoint, model) if checkpoint.is_quantized else ()
    )


def check_weights(
    checkpoint: Checkpoint, model: "PreTrainedModel", low_bit: Collection[str] = ()
) -> None:
    """Check that a checkpoint holds every weight of a model, in its shape.

    Of weights that transformers joins (experts stored one by one) the elements are counted.

    Args:
        checkpoint: its headers.
        model: of its architecture; may be on the meta device.
        low_bit: names of quantized layers, whose tensors are another matter.

    Raises:
        InputError: a tensor is missing, has another shape, or whole numbers for a weight.
    """
    state, names = model.state_dict(), weight_names(model, checkpoint.tensors)
    ignored = [*(model._keys_to_ignore_on_load_missing or ())]
    apart = tuple(f"{name}." for name in low_bit)
    absent = [name for name in names.absent(model)
              if not name.startswith(apart) and not _matches(name, ignored)]  # fmt: skip
    if absent:
        more = f", and {len(absent) - 1:,} more" if len(absent) > 1 else ""
        raise InputError(f"{checkpoint.path}: tensor {absent[0]!r} is missing{more}", _AGAIN)
    for name, parts in sorted(names.built.items()):
        num_elements = sum(checkpoint.tensors[part].num_elements for part in parts)
        if num_elements != state[name].numel():
            raise InputError(
                f"{checkpoint.path}: {name!r} is joined from {len(parts)} tensors with"
                f" {num_elements:,} elements, config.json asks for {state[name].numel():,}"
                f" (first: {parts[0]})",
                _AGAIN,
            )
    for name, tensor in sorted(names.stored.items()):
        if name.startswith(apart):
            continue
        info, weight = checkpoint.tensors[tensor], state[name]
        if tuple(info.shape) != tuple(weight.shape):
            raise InputError(
                f"{checkpoint.path}: tensor {tensor!r} is {list(info.shape)}, config.json asks for"
                f" {list(weight.shape)}",
                _AGAIN,
            )
        if torch.is_floating_point(weight) and info.dtype in _WHOLE_NUMBERS:
            raise InputError(
                f"{checkpoint.path}: tensor {tensor!r} has whole numbers ({info.dtype}), and"
                " config.json no quantization_config that would say what they mean",
                _AGAIN,
            )


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(re.search(pattern, name) for pattern in patterns)
