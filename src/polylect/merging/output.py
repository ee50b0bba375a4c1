"""What a merged checkpoint holds beside its tensors."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import write_text
from polylect.checkpoints import CONFIG, TOKENIZER_FILES, Checkpoint
from polylect.merging.compatibility import GENERATION

_TORCH_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def carry_files(model: Checkpoint, folder: Path, out_dtype: str | None) -> None:
    """Copy config, tokenizer and generation settings of a model into a folder, byte for byte.

    If there is an ``out_dtype``, it takes the place of the type that config.json names, in the
    model's own config and in those of its parts: loading would convert the tensors back otherwise.

    Raises:
        OSError: a file cannot be read or written.
    """
    for name in (GENERATION, *TOKENIZER_FILES):
        if (model.path / name).is_file():
            shutil.copyfile(model.path / name, folder / name)
    if out_dtype is None:
        shutil.copyfile(model.path / CONFIG, folder / CONFIG)
    else:
        config = _with_dtype(model.config, _TORCH_NAMES[out_dtype])
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def _with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    changed = dict(config)
    for key, value in config.items():
        if key in {"dtype", "torch_dtype"}:
            changed[key] = dtype
        elif isinstance(value, dict) and key.endswith("_config") and key != "quantization_config":
            changed[key] = _with_dtype(value, dtype)
    return changed
