"""Whether checkpoints can be merged, by their configs, tokenizers and headers; reads no tensor."""

import json
from collections.abc import Mapping
from typing import Any

from polylect.base import InputError, Ledger, read_json
from polylect.checkpoints import (
    FLOAT_DTYPES,
    GENERATION_CONFIG,
    Checkpoint,
    TensorInfo,
    TensorSpec,
)
from polylect.merging.buffers import is_buffer
from polylect.merging.config_keys import check_configs
from polylect.text import template_of

_IGNORED = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
_HINT = "merge checkpoints that were trained from one base model"


def check_compatible(models: Mapping[str, Checkpoint]) -> Ledger:
    """Counts of harmless differences between models; the first model's settings are kept.

    Args:
        models: checkpoints by label, in order.

    Raises:
        InputError: architecture, tokenizer, names or shapes of tensors, or a key of the config
            that decides what the weights compute; names the first difference.
    """
    ledger = Ledger()
    (first, model), *others = models.items()
    for label, other in others:
        for key in ("architectures", "model_type"):
            expected, actual = model.config.get(key), other.config.get(key)
            if expected != actual:
                raise InputError(f"{label}: {key} is {actual}, {first} has {expected}", _HINT)
        if other.tokenizer_digest != model.tokenizer_digest:
            raise InputError(
                f"{label}: its tokenizer ({_short_digest(other)}) is not that of {first} "
                f"({_short_digest(model)})",
                "merge checkpoints with the same tokenizer files, or --vocabulary union",
            )
        _check_tensors(first, model, label, other)
        check_configs(first, model.config, label, other.config, ledger)
        if template_of(other.path) != template_of(model.path):
            ledger.count("fell back: one model's chat template", where=label)
        if not _same(_generation_config(model), _generation_config(other)):
            ledger.count(f"fell back: first model's {GENERATION_CONFIG}", where=label)
    return ledger


def output_specs(models: Mapping[str, Checkpoint], out_dtype: str | None) -> list[TensorSpec]:
    """The tensors of the merged checkpoint, sorted by name; buffers keep their dtype.

    Args:
        models: compatible checkpoints by label.
        out_dtype: dtype of all float tensors; None: the dtypes of the inputs.

    Raises:
        InputError: a tensor's dtype differs between models and ``out_dtype`` does not settle it.
    """
    (first, model), *others = models.items()
    specs: list[TensorSpec] = []
    for name, info in model.tensors.items():
        is_float = is_weight(info)
        for label, other in others:
            dtype = other.tensors[name].dtype
            is_settled = is_float and dtype in FLOAT_DTYPES and out_dtype is not None
            if dtype != info.dtype and not is_settled:
                raise InputError(
                    f"{label}: tensor {name!r} is {dtype}, in {first} {info.dtype}",
                    "give the type to write: --out-dtype BF16",
                )
        dtype = out_dtype if is_float and out_dtype is not None else info.dtype
        specs.append(TensorSpec(name, dtype, info.shape))
    return specs


def is_weight(tensor: TensorInfo | TensorSpec) -> bool:
    """Whether a tensor is merged: of floats, and no buffer."""
    return tensor.dtype in FLOAT_DTYPES and not is_buffer(tensor.name, tensor.shape)


def _check_tensors(first: str, model: Checkpoint, label: str, other: Checkpoint) -> None:
    for name in sorted(model.tensors.keys() ^ other.tensors.keys()):
        has, lacks = (first, label) if name in model.tensors else (label, first)
        raise InputError(f"{lacks}: no tensor {name!r}, which {has} has", _HINT)
    for name, info in model.tensors.items():
        shape = other.tensors[name].shape
        if shape != info.shape:
            raise InputError(
                f"{label}: tensor {name!r} has shape {shape}, in {first} {info.shape}", _HINT
            )


def _same(value: object, other: object) -> bool:
    """Equality under which NaN equals itself, and 1 does not equal true."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def _generation_config(model: Checkpoint) -> dict[str, Any] | None:
    path = model.path / GENERATION_CONFIG
    settings = read_json(path) if path.is_file() else None
    if not isinstance(settings, dict):
        return settings
    return {key: value for key, value in settings.items() if key not in _IGNORED}


def _short_digest(model: Checkpoint) -> str:
    return model.tokenizer_digest[:12] or "none"
