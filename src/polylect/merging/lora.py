"""LoRA adapters in peft's layout, merged into their base tensor by tensor, rounded once."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, one_blas_thread, write_text
from polylect.checkpoints import (
    CONFIG,
    Bytes,
    Checkpoint,
    Floats,
    ShardWriter,
    TensorInfo,
    TensorSpec,
    block_ranges,
    overflow,
    read_floats,
    to_bytes,
)
from polylect.merging.names import unique_names
from polylect.merging.prepared import prepared

_BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True)
class Delta:
    """A product of two matrices that an adapter adds to one tensor of its base.

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
class Change:
    """What an adapter does to one tensor of its base, in this order.

    Attributes:
        whole: takes its place (``modules_to_save``, or the layer that peft saves beside LoRA).
        delta: is added.
        magnitude: DoRA: the norm that every output's weights get afterwards, float [outputs].
        vector: a bias of the adapter that is added, with its factor.
        rows: rows of an embedding that are replaced: their numbers, and float [numbers, columns].
    """

    whole: TensorInfo | None = None
    delta: Delta | None = None
    magnitude: TensorInfo | None = None
    vector: tuple[TensorInfo, float] | None = None
    rows: tuple[tuple[int, ...], TensorInfo] | None = None

    def also(self, other: "Change") -> "Change":
        """Both changes in one; no part is in both."""
        given = {name: part for name, part in vars(other).items() if part is not None}
        return replace(self, **given)


@dataclass(frozen=True)
class Adapter:
    """An adapter that matches its base.

    Attributes:
        path: its folder.
        changes: what is done to each tensor, by its name in the result.
        untied: tensors that the result has and the base has not: weights that were tied to another
            one of the base, from which they start.
        digest: digest of its files' content.
    """

    path: Path
    changes: Mapping[str, Change]
    untied: Mapping[str, TensorInfo] = field(default_factory=dict)
    digest: str = ""


def apply_adapter(base: Checkpoint, adapter: Adapter, out: Path) -> Checkpoint:
    """Merge an adapter into its base, as a checkpoint at ``out``.

    Each element is the base's plus scale · (B A), computed in float64 and rounded once to the
    base's dtype; with DoRA (Liu et al. 2024) the weights of each output are then scaled to its
    magnitude. peft's ``merge_and_unload`` computes in the model's dtype: in BF16 it rounds several
    times.

    Args:
        base: the checkpoint that the adapter was trained on.
        adapter: read for this base.
        out: a path that does not exist, or the result of an earlier call with the same inputs.

    Raises:
        InputError: an element is not finite or overflows; ``out`` holds something else.
        StorageError: the disk is full or the folder cannot be written.
    """
    sources = {**base.tensors, **adapter.untied}

    def write(folder: Path) -> None:
        base.carry_beside(folder)
        if adapter.untied:
            config = json.dumps(_untied(base.config), indent=2)
            write_text(folder / CONFIG, config + "\n")
        else:
            shutil.copyfile(base.path / CONFIG, folder / CONFIG)
        specs = [TensorSpec(name, info.dtype, info.shape) for name, info in sorted(sources.items())]
        writer = ShardWriter(folder, specs)
        with one_blas_thread():
            for spec in specs:
                _write_tensor(spec, sources[spec.name], adapter, writer)
        writer.finish()

    labels = unique_names([base.path.resolve().name, adapter.path.resolve().name])
    digests = [(digest, base.license) for digest in (base.digest, adapter.digest)]
    parents = dict(zip(labels, digests, strict=True))
    return prepared(out, "lora", {}, parents, write)


def _untied(config: Mapping[str, Any]) -> dict[str, Any]:
    changed = {**config, "tie_word_embeddings": False}
    if isinstance(config.get("text_config"), dict):
        changed["text_config"] = {**config["text_config"], "tie_word_embeddings": False}
    return changed


def _write_tensor(
    spec: TensorSpec, source: TensorInfo, adapter: Adapter, writer: ShardWriter
) -> None:
    """Write one tensor of the result, some rows at a time."""
    change = adapter.changes.get(spec.name, Change())
    source = change.whole or source
    if change in {Change(), Change(whole=change.whole)} and source.dtype == spec.dtype:
        writer.copy(replace(source, name=spec.name))
        return
    for start, values in _blocks(source, change):
        writer.write(spec.name, start, _to_bytes(values, spec, adapter.path))


def _blocks(source: TensorInfo, change: Change) -> Iterator[tuple[int, Floats]]:
    """The values of a tensor in the result, float64, with the number of their first element."""
    columns = source.shape[1] if len(source.shape) > 1 else 1
    rows = source.num_elements // max(1, columns)
    product = None if change.delta is None else _Product(change.delta)
    factors = None
    if change.magnitude is not None and change.delta is not None and change.delta.transposed:
        squares = np.zeros(columns, np.float64)
        for _, block in _blocks(source, Change(delta=change.delta)):
            squares += (block.reshape(-1, columns) ** 2).sum(axis=0)
        factors = _matrix(change.magnitude).reshape(-1) / np.sqrt(squares)
    for first, last in block_ranges(rows, max(1, _BLOCK_ELEMENTS // max(1, columns))):
        start, stop = first * columns, last * columns
        values = read_floats(source, start, stop, out=np.empty(stop - start, np.float64))
        values = values.reshape(-1, columns)
        if product is not None:
            values += product.rows(first, last)
        if factors is not None:
            values *= factors
        elif change.magnitude is not None:
            magnitude = _matrix(change.magnitude).reshape(-1)[first:last]
            values *= (magnitude / np.sqrt((values**2).sum(axis=1)))[:, None]
        if change.vector is not None:
            vector, scale = change.vector
            values += scale * _matrix(vector).reshape(-1, columns)[first:last]
        if change.rows is not None:
            numbers, trained = change.rows
            for number, row in zip(numbers, _matrix(trained), strict=True):
                if first <= number < last:
                    values[number - first] = row
        yield start, values.reshape(-1)


class _Product:
    """The product of an adapter's matrices with its factor, some rows at a time."""

    def __init__(self, delta: Delta) -> None:
        a, b = _matrix(delta.a), _matrix(delta.b)
        self._left, self._right = (a.T, b.T) if delta.transposed else (b, a)
        self._scale = delta.scale

    def rows(self, first: int, last: int) -> Floats:
        """Rows ``first`` to ``last``, float64."""
        return self._scale * (self._left[first:last] @ self._right)


def _to_bytes(values: Floats, target: TensorSpec, path: Path) -> Bytes:
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
