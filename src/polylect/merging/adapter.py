"""LoRA adapters in peft's layout: applied to their base, tensor by tensor, rounded once."""

import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import (
    InputError,
    did_you_mean,
    digest_of,
    file_digests,
    one_blas_thread,
    read_json,
)
from polylect.checkpoints import (
    CONFIG,
    FLOAT_DTYPES,
    TOKENIZER_FILES,
    Checkpoint,
    Floats,
    ShardWriter,
    TensorInfo,
    TensorSpec,
    overflow,
    read_floats,
    read_header,
    read_raw,
    to_bytes,
)
from polylect.merging.compatibility import GENERATION
from polylect.merging.vocabulary.prepared import prepared

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_BLOCK_ELEMENTS = 2**20
# What changes the model otherwise than by a product of two matrices.
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of the adapter's own",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "single trained tokens",
    "target_parameters": "adapters of bare parameters",
    "alora_invocation_tokens": "aLoRA",
    "megatron_config": "Megatron layers",
}
# These begin by taking a part out of the base: what they add belongs to another base.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_HINT = "merge it into its base with peft: model.merge_and_unload().save_pretrained(DIR)"


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one tensor of its base.

    Attributes:
        down: A, float [rank, columns]; of an embedding, [rank, rows].
        up: B, float [rows, rank]; of an embedding, [columns, rank].
        scale: the factor of the product.
        turned: the product is added transposed.
    """

    down: TensorInfo
    up: TensorInfo
    scale: float
    turned: bool


@dataclass(frozen=True)
class Adapter:
    """An adapter that was held against its base.

    Attributes:
        path: its folder.
        deltas: by the base's tensor.
        replaced: tensors that were trained as a whole, by the base's tensor.
        digest: of its files' content.
    """

    path: Path
    deltas: Mapping[str, Delta]
    replaced: Mapping[str, TensorInfo]
    digest: str


def read_adapter(path: Path, base: Checkpoint) -> Adapter:
    """An adapter, with every one of its tensors given a place in the base; reads no values.

    Read is LoRA as peft saves it: rank and alpha by pattern, rank-stabilized scaling, embeddings,
    transposed layers, modules and biases that were saved whole.

    Raises:
        InputError: no adapter there, a kind that is not supported (named), or a tensor that has no
            place in the base.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (path / name).is_file():
            pickled = (path / "adapter_model.bin").is_file() and name == ADAPTER_WEIGHTS
            hint = "save it again with safetensors" if pickled else "give the adapter's folder"
            raise InputError(f"{path}: no {name}", hint)
    config = read_json(path / ADAPTER_CONFIG)
    _check_config(path, config)
    tensors = read_header(path / ADAPTER_WEIGHTS)
    downs: dict[str, TensorInfo] = {}
    ups: dict[str, TensorInfo] = {}
    embedded: set[str] = set()
    replaced: dict[str, TensorInfo] = {}
    for name, info in tensors.items():
        # A bias that was trained lies in the layer that the adapter wraps.
        inner = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
        found = re.fullmatch(r"(.+)\.lora_(embedding_)?([AB])(\.weight)?", inner)
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(f"{path}: tensor {name!r} is {info.dtype}, not of floats", _HINT)
        if found:
            module = found[1]
            (downs if found[3] == "A" else ups)[module] = info
            if found[2]:
                embedded.add(module)
        elif inner in base.tensors:
            replaced[inner] = info
        else:
            hint = did_you_mean(inner, list(base.tensors)) or "is this the adapter's own base?"
            raise InputError(f"{path}: tensor {name!r} has no place in {base.path}", hint)
    deltas: dict[str, Delta] = {}
    for module in sorted({*downs, *ups}):
        if module not in downs or module not in ups:
            lacking = "A" if module not in downs else "B"
            raise InputError(f"{path}: {module} has no lora_{lacking}", "save the adapter again")
        name = f"{module}.weight"
        if name not in base.tensors:
            hint = did_you_mean(name, list(base.tensors)) or "is this the adapter's own base?"
            raise InputError(f"{path}: {base.path} has no tensor {name!r}", hint)
        turned = module in embedded or bool(config.get("fan_in_fan_out"))
        down, up = downs[module], ups[module]
        delta = Delta(down, up, _scale(config, module, down.shape), turned)
        _check_shapes(path, base.tensors[name], delta)
        deltas[name] = delta
    for name, info in replaced.items():
        if info.shape != base.tensors[name].shape or name in deltas:
            raise InputError(
                f"{path}: tensor {name!r} has shape {info.shape}, in the base "
                f"{base.tensors[name].shape}",
                "the adapter's vocabulary may have grown: " + _HINT,
            )
    digest = digest_of(
        {name: one for name, one in file_digests(path).items()
         if name in {ADAPTER_CONFIG, ADAPTER_WEIGHTS}}
    )  # fmt: skip
    return Adapter(path, deltas, replaced, digest)


def apply_adapter(base: Checkpoint, adapter: Adapter, out: Path) -> Checkpoint:
    """The base with the adapter merged into it, as a checkpoint at ``out``.

    Each element is the base's plus scale · (B A), computed in float64 and rounded once to the
    base's type. peft's ``merge_and_unload`` computes in the model's own type: in BF16 it rounds
    several times.

    Args:
        base: what the adapter was trained on.
        adapter: read against this base.
        out: nothing, or what an earlier call made of the same inputs.

    Raises:
        InputError: an element is not finite or too large; ``out`` holds something else.
        StorageError: the disk is full or the folder cannot be written.
    """

    def make(folder: Path) -> None:
        for name in (CONFIG, GENERATION, *TOKENIZER_FILES):
            if (base.path / name).is_file():
                shutil.copyfile(base.path / name, folder / name)
        specs = [TensorSpec(one.name, one.dtype, one.shape) for one in base.tensors.values()]
        writer = ShardWriter(folder, specs)
        with one_blas_thread():
            for spec in specs:
                _write(base.tensors[spec.name], adapter, writer)
        writer.finish()

    parents = {
        base.path.resolve().name: (base.digest, base.license),
        adapter.path.resolve().name: (adapter.digest, base.license),
    }
    return prepared(out, "lora", {}, parents, make)


def _check_config(path: Path, config: Any) -> None:
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise InputError(f"{path}: an adapter of kind {kind!r}, only LORA is read", _HINT)
    for key, words in _UNSUPPORTED.items():
        if config.get(key):
            raise InputError(f"{path}: {words} ({key}) is not supported", _HINT)
    begin = config.get("init_lora_weights")
    if isinstance(begin, str) and begin.lower().startswith(_CHANGES_BASE):
        raise InputError(
            f"{path}: init_lora_weights is {begin!r}, which changed the base before training",
            "convert it to plain LORA with peft (path_initial_model_for_weight_conversion)",
        )
    if not isinstance(config.get("lora_alpha"), int | float):
        raise InputError(f"{path / ADAPTER_CONFIG}: no lora_alpha", "save the adapter again")


def _scale(config: Mapping[str, Any], module: str, shape: tuple[int, ...]) -> float:
    """Alpha / rank, or alpha / sqrt(rank); the first pattern that fits the module's end counts."""
    alpha = config["lora_alpha"]
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    rank = shape[0] if shape else 1
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_shapes(path: Path, target: TensorInfo, delta: Delta) -> None:
    down, up, shape = delta.down.shape, delta.up.shape, target.shape
    wanted = shape[::-1] if delta.turned else shape
    good = len(down) == len(up) == len(shape) == 2
    if not good or down[0] != up[1] or (up[0], down[1]) != wanted:
        raise InputError(
            f"{path}: lora_A {list(down)} and lora_B {list(up)} do not make {target.name!r} "
            f"of shape {list(shape)}",
            "is this the adapter's own base?",
        )


def _write(target: TensorInfo, adapter: Adapter, writer: ShardWriter) -> None:
    """One tensor of the result, some rows at a time."""
    name = target.name
    if name in adapter.replaced:
        _copy(adapter.replaced[name], target, writer)
    elif name not in adapter.deltas:
        _copy(target, target, writer)
    else:
        delta = adapter.deltas[name]
        down, up = _matrix(delta.down), _matrix(delta.up)
        left, right = (down.T, up.T) if delta.turned else (up, down)
        columns = target.shape[1]
        step = max(1, _BLOCK_ELEMENTS // max(1, columns))
        for first in range(0, target.shape[0], step):
            last = min(first + step, target.shape[0])
            start, stop = first * columns, last * columns
            values = np.empty(stop - start, np.float64)
            read_floats(target, start, stop, out=values)
            values += (delta.scale * (left[first:last] @ right)).reshape(-1)
            writer.write(name, start, _checked(values, target, adapter.path))


def _copy(source: TensorInfo, target: TensorInfo, writer: ShardWriter) -> None:
    """A whole tensor, in the type of the target."""
    for start in range(0, source.num_elements, _BLOCK_ELEMENTS):
        stop = min(start + _BLOCK_ELEMENTS, source.num_elements)
        if source.dtype == target.dtype:
            raw = read_raw(source, start, stop)
        else:
            values = np.empty(stop - start, np.float64)
            raw = _checked(read_floats(source, start, stop, out=values), target, source.file)
        writer.write(target.name, start, raw)


def _checked(values: Floats, target: TensorInfo, place: Path) -> Any:
    """The bytes of values that are finite and fit."""
    if not bool((np.abs(values) < overflow(target.dtype)).all()):
        raise InputError(
            f"{place}: tensor {target.name!r} gets an element that is not finite, or too large for "
            f"{target.dtype}",
            "fetch or make the adapter again",
        )
    return to_bytes(values, target.dtype, finite=True)


def _matrix(info: TensorInfo) -> Floats:
    return read_floats(info, out=np.empty(info.num_elements, np.float64)).reshape(info.shape)
