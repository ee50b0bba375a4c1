"""LoRA adapters in peft's layout, merged into their base tensor by tensor, rounded once."""

import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    Bytes,
    Checkpoint,
    Floats,
    ShardWriter,
    TensorInfo,
    TensorSpec,
    block_ranges,
    overflow,
    read_floats,
    read_header,
    to_bytes,
)
from polylect.merging.names import unique_names
from polylect.merging.prepared import prepared

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_BLOCK_ELEMENTS = 2**20
# These change the model in other ways than by a product of two matrices.
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of the adapter",
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
# These initializations change the base: the adapter belongs to another base.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_HINT = "merge it into its base with peft: model.merge_and_unload().save_pretrained(DIR)"


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one tensor of its base.

    Attributes:
        a: float [rank, columns]; for an embedding [rank, rows].
        b: float [rows, rank]; for an embedding [columns, rank].
        scale: factor of the product.
        transposed: the transposed product is added.
    """

    a: TensorInfo
    b: TensorInfo
    scale: float
    transposed: bool


@dataclass(frozen=True)
class Adapter:
    """An adapter that matches its base.

    Attributes:
        path: its folder.
        deltas: what is added, by the base's tensor.
        replaced: tensors trained as a whole (``modules_to_save``), by the base's tensor.
        digest: digest of its files' content.
    """

    path: Path
    deltas: Mapping[str, Delta]
    replaced: Mapping[str, TensorInfo]
    digest: str


def read_adapter(path: Path, base: Checkpoint) -> Adapter:
    """An adapter with its tensors assigned to those of the base; reads no values.

    Supports LoRA as peft saves it: rank and alpha by pattern, rank-stabilized scaling, embeddings,
    transposed layers, whole modules and biases.

    Raises:
        InputError: no adapter in the folder, an unsupported kind (named), or a tensor that does not
            belong to the base.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (path / name).is_file():
            is_pickled = (path / "adapter_model.bin").is_file() and name == ADAPTER_WEIGHTS
            hint = "save it again with safetensors" if is_pickled else "give the adapter's folder"
            raise InputError(f"{path}: no {name}", hint)
    config = read_json(path / ADAPTER_CONFIG)
    _check_config(path, config)
    tensors = read_header(path / ADAPTER_WEIGHTS)
    factors: dict[str, dict[str, TensorInfo]] = {"A": {}, "B": {}}
    embeddings: set[str] = set()
    replaced: dict[str, TensorInfo] = {}
    for name, info in tensors.items():
        # A trained bias is in the layer that the adapter wraps.
        inner = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
        match = re.fullmatch(r"(.+)\.lora_(embedding_)?([AB])(\.weight)?", inner)
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(f"{path}: tensor {name!r} is {info.dtype}, not of floats", _HINT)
        if match:
            module, is_embedding, factor = match[1], match[2], match[3]
            factors[factor][module] = info
            if is_embedding:
                embeddings.add(module)
        elif inner in base.tensors:
            replaced[inner] = info
        else:
            hint = did_you_mean(inner, list(base.tensors)) or "is this the base of the adapter?"
            raise InputError(f"{path}: tensor {name!r} has no place in {base.path}", hint)
    deltas: dict[str, Delta] = {}
    for module in sorted({*factors["A"], *factors["B"]}):
        for factor, modules in factors.items():
            if module not in modules:
                raise InputError(f"{path}: {module} has no lora_{factor}", "save the adapter again")
        name = f"{module}.weight"
        if name not in base.tensors:
            hint = did_you_mean(name, list(base.tensors)) or "is this the base of the adapter?"
            raise InputError(f"{path}: {base.path} has no tensor {name!r}", hint)
        transposed = module in embeddings or bool(config.get("fan_in_fan_out"))
        a, b = factors["A"][module], factors["B"][module]
        delta = Delta(a, b, _scale(config, module, a.shape), transposed)
        _check_shapes(path, base.tensors[name], delta)
        deltas[name] = delta
    for name, info in replaced.items():
        if info.shape != base.tensors[name].shape or name in deltas:
            raise InputError(
                f"{path}: tensor {name!r} has shape {info.shape}, in the base "
                f"{base.tensors[name].shape}",
                "the adapter's vocabulary may have grown: " + _HINT,
            )
    digests = file_digests(path)
    digest = digest_of({name: digests[name] for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)})
    return Adapter(path, deltas, replaced, digest)


def apply_adapter(base: Checkpoint, adapter: Adapter, out: Path) -> Checkpoint:
    """Merge an adapter into its base, as a checkpoint at ``out``.

    Each element is the base's plus scale · (B A), computed in float64 and rounded once to the
    base's dtype. peft's ``merge_and_unload`` computes in the model's dtype: in BF16 it rounds
    several times.

    Args:
        base: the checkpoint that the adapter was trained on.
        adapter: read for this base.
        out: a path that does not exist, or the result of an earlier call with the same inputs.

    Raises:
        InputError: an element is not finite or overflows; ``out`` holds something else.
        StorageError: the disk is full or the folder cannot be written.
    """

    def write(folder: Path) -> None:
        base.carry_beside(folder)
        shutil.copyfile(base.path / CONFIG, folder / CONFIG)
        specs = [TensorSpec(info.name, info.dtype, info.shape) for info in base.tensors.values()]
        writer = ShardWriter(folder, specs)
        with one_blas_thread():
            for spec in specs:
                _write_tensor(base.tensors[spec.name], adapter, writer)
        writer.finish()

    labels = unique_names([base.path.resolve().name, adapter.path.resolve().name])
    digests = [(digest, base.license) for digest in (base.digest, adapter.digest)]
    parents = dict(zip(labels, digests, strict=True))
    return prepared(out, "lora", {}, parents, write)


def _check_config(path: Path, config: Any) -> None:
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise InputError(f"{path}: an adapter of kind {kind!r}, only LORA is supported", _HINT)
    for key, name in _UNSUPPORTED.items():
        if config.get(key):
            raise InputError(f"{path}: {name} ({key}) is not supported", _HINT)
    initialization = config.get("init_lora_weights")
    if isinstance(initialization, str) and initialization.lower().startswith(_CHANGES_BASE):
        raise InputError(
            f"{path}: init_lora_weights is {initialization!r}, which changed the base "
            "before training",
            "convert it to plain LORA with peft (path_initial_model_for_weight_conversion)",
        )
    if not isinstance(config.get("lora_alpha"), int | float):
        raise InputError(f"{path / ADAPTER_CONFIG}: no lora_alpha", "save the adapter again")


def _scale(config: Mapping[str, Any], module: str, shape: tuple[int, ...]) -> float:
    """Alpha / rank, or alpha / sqrt(rank); the first pattern matching the module's end applies."""
    alpha = config["lora_alpha"]
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    rank = shape[0] if shape else 1
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_shapes(path: Path, target: TensorInfo, delta: Delta) -> None:
    a, b, shape = delta.a.shape, delta.b.shape, target.shape
    expected = shape[::-1] if delta.transposed else shape
    are_matrices = len(a) == len(b) == len(shape) == 2
    if not are_matrices or a[0] != b[1] or (b[0], a[1]) != expected:
        raise InputError(
            f"{path}: lora_A {list(a)} and lora_B {list(b)} do not make {target.name!r} "
            f"of shape {list(shape)}",
            "is this the base of the adapter?",
        )


def _write_tensor(target: TensorInfo, adapter: Adapter, writer: ShardWriter) -> None:
    """Write one tensor of the result, some rows at a time."""
    name = target.name
    if name in adapter.replaced:
        _write_as(adapter.replaced[name], target, writer)
    elif name not in adapter.deltas:
        writer.copy(target)
    else:
        delta = adapter.deltas[name]
        a, b = _matrix(delta.a), _matrix(delta.b)
        left, right = (a.T, b.T) if delta.transposed else (b, a)
        columns = target.shape[1]
        step = max(1, _BLOCK_ELEMENTS // max(1, columns))
        for first, last in block_ranges(target.shape[0], step):
            start, stop = first * columns, last * columns
            values = np.empty(stop - start, np.float64)
            read_floats(target, start, stop, out=values)
            values += (delta.scale * (left[first:last] @ right)).reshape(-1)
            writer.write(name, start, _to_bytes(values, target, adapter.path))


def _write_as(source: TensorInfo, target: TensorInfo, writer: ShardWriter) -> None:
    """Write a whole tensor in place of another, with its dtype."""
    if source.dtype == target.dtype:
        writer.copy(replace(source, name=target.name))
        return
    for start, stop in block_ranges(source.num_elements, _BLOCK_ELEMENTS):
        values = np.empty(stop - start, np.float64)
        raw = _to_bytes(read_floats(source, start, stop, out=values), target, source.file)
        writer.write(target.name, start, raw)


def _to_bytes(values: Floats, target: TensorInfo, path: Path) -> Bytes:
    """The values as bytes of the target's dtype; refuses those that are not finite or overflow."""
    if not bool((np.abs(values) < overflow(target.dtype)).all()):
        raise InputError(
            f"{path}: tensor {target.name!r} gets an element that is not finite, or too large for "
            f"{target.dtype}",
            "download or train the adapter again",
        )
    return to_bytes(values, target.dtype, finite=True)


def _matrix(info: TensorInfo) -> Floats:
    return read_floats(info, out=np.empty(info.num_elements, np.float64)).reshape(info.shape)
