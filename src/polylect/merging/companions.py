"""The files beside the weights of a merged checkpoint."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import write_text
from polylect.checkpoints import (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_FILES,
    TORCH_NAMES,
    Checkpoint,
)


def copy_companions(model: Checkpoint, folder: Path, out_dtype: str | None) -> None:
    """Copy config, tokenizer and generation settings of a model into a folder, byte for byte.

    With an ``out_dtype``, config.json names it in place of the model's own dtype, also for the
    model's parts: loading would convert the tensors back otherwise.

    Raises:
        OSError: a file cannot be read or written.
    """
    model.copy_files(folder, (GENERATION_CONFIG, *TOKENIZER_FILES))
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
