"""The files beside the weights of a merged checkpoint: all of one model, by one rule."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import check_known, write_text
from polylect.checkpoints import CONFIG, TORCH_NAMES, Checkpoint
from polylect.text import template_of


def model_of_files(folders: Mapping[str, Path], first: str, named: str | None = None) -> str:
    """The label of the model whose files a merge has beside its weights.

    The one that is named; else the first model. Where that has no chat template it is the next
    model that has one: experts that were trained on turns keep them when they are merged with their
    base.

    Args:
        folders: of the checkpoints, by label, in order.
        first: label of the base, or of the first model.
        named: label that the user chose.

    Raises:
        InputError: no model has the label that is named.
    """
    if named is not None:
        problem = f"--tokenizer-from {named}: no model of this merge has that label"
        check_known(named, folders, problem, "the models are")
        return named
    templated = [label for label, folder in folders.items() if template_of(folder)]
    return first if first in templated or not templated else templated[0]


def copy_companions(
    model: Checkpoint, folder: Path, out_dtype: str | None, files: Checkpoint
) -> None:
    """Write config.json, and copy all that lies beside the weights, byte for byte.

    Args:
        model: the model whose config.json is taken.
        folder: exists.
        out_dtype: dtype of the float tensors, or None.
        files: the model whose other files are taken.

    With an ``out_dtype``, config.json names it in place of the model's own dtype, also for the
    model's parts: loading would convert the tensors back otherwise.

    Raises:
        OSError: a file cannot be read or written.
    """
    files.carry_beside(folder)
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
        elif isinstance(value, dict) and key.endswith("_config"):
            changed[key] = _with_dtype(value, dtype)
    return changed
