"""The files beside the weights of a merged checkpoint."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import write_text
from polylect.checkpoints import (
    CHAT_TEMPLATE,
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_FILES,
    TORCH_NAMES,
    Checkpoint,
)
from polylect.text import template_of


def turns_model(models: Mapping[str, Checkpoint], first: str) -> str:
    """The label of the model whose chat template and generation settings a merge has.

    The first model's; where it has no template, those of the next model that has one: experts that
    were trained on turns keep them when they are merged with their base.

    Args:
        models: checkpoints by label, in order.
        first: label of the model whose other files the merge has.
    """
    templated = [label for label, model in models.items() if template_of(model.path)]
    return first if first in templated or not templated else templated[0]


def copy_companions(
    model: Checkpoint, folder: Path, out_dtype: str | None, turns: Checkpoint | None = None
) -> None:
    """Copy config, tokenizer and generation settings of a model into a folder, byte for byte.

    Args:
        model: the model.
        folder: exists.
        out_dtype: dtype of the float tensors, or None.
        turns: the model whose chat template and generation settings are taken; default: ``model``.

    With an ``out_dtype``, config.json names it in place of the model's own dtype, also for the
    model's parts: loading would convert the tensors back otherwise.

    Raises:
        OSError: a file cannot be read or written.
    """
    model.copy_files(folder, (GENERATION_CONFIG, *TOKENIZER_FILES))
    if turns is not None and turns.path != model.path:
        turns.copy_files(folder, (GENERATION_CONFIG,))
        write_text(folder / CHAT_TEMPLATE, template_of(turns.path))
    if out_dtype is None:
        shutil.copyfile(model.path / CONFIG, folder / CONFIG)
    else:
        config = _with_dtype(model.config, TORCH_NAMES[out_dtype])
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def _with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    changed = dict(config)
    for key, value in config.items():
        if key in {"dtype", "torch_dtype"}:
            changed[key] = dtype
        elif isinstance(value, dict) and key.endswith("_config") and key != "quantization_config":
            changed[key] = _with_dtype(value, dtype)
    return changed
