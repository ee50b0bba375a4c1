"""The files beside the weights of a merged checkpoint: all of one model, by one rule."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import Ledger, check_known, read_json, write_text
from polylect.checkpoints import (
    CHAT_TEMPLATE,
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TORCH_NAMES,
    Checkpoint,
)
from polylect.merging.tokenizers import differing_settings
from polylect.text import template_of

_IGNORED = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}


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


def count_differences(models: Mapping[str, Checkpoint], chosen: str, ledger: Ledger) -> None:
    """Name what other models say otherwise beside their weights, or have alone.

    Args:
        models: checkpoints by label, in order; they encode alike.
        chosen: label of the model whose files the merge has.
        ledger: gets an entry for each difference and each file that is left.
    """
    model = models[chosen]
    model.beside.count_left(ledger, chosen)
    for label, other in models.items():
        if label == chosen:
            continue
        other.beside.count_left(ledger, label)
        for what in _differences(model, other):
            ledger.count(f"differs: {what}, taken from {chosen}", 1, label)
        for name in sorted({*other.beside.carried} - {*model.beside.carried}):
            if name not in {CHAT_TEMPLATE, TOKENIZER_CONFIG, GENERATION_CONFIG}:
                ledger.count(f"left: a file that {chosen} has not", 1, f"{label}: {name}")


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


def _differences(model: Checkpoint, other: Checkpoint) -> list[str]:
    """What two models say otherwise beside their weights, in words."""
    differences = list(differing_settings(model, other))
    if template_of(model.path) != template_of(other.path):
        differences.append("chat template")
    settings, its_settings = _generation_config(model), _generation_config(other)
    differences += [
        f"{key} in {GENERATION_CONFIG}"
        for key in sorted({*settings, *its_settings} - _IGNORED)
        if not _same(settings.get(key), its_settings.get(key))
    ]
    said = {TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE}
    both = {*model.beside.carried} & {*other.beside.carried}
    return differences + [
        name
        for name in sorted(both - said)
        if (model.path / name).read_bytes() != (other.path / name).read_bytes()
    ]


def _generation_config(model: Checkpoint) -> dict[str, Any]:
    path = model.path / GENERATION_CONFIG
    settings = read_json(path) if path.is_file() else {}
    return settings if isinstance(settings, dict) else {"its content": settings}


def _same(value: object, other: object) -> bool:
    """Equality under which NaN equals itself, and 1 does not equal true."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def _with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    changed = dict(config)
    for key, value in config.items():
        if key in {"dtype", "torch_dtype"}:
            changed[key] = dtype
        elif isinstance(value, dict) and key.endswith("_config"):
            changed[key] = _with_dtype(value, dtype)
    return changed
