"""Linear merging: the weighted sum of checkpoints, block by block."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError, Ledger
from polylect.checkpoints import (
    FLOAT_DTYPES,
    MAX_SHARD_BYTES,
    Checkpoint,
    Floats,
    Lineage,
    Parent,
    ShardWriter,
    TensorInfo,
    join_licences,
    new_folder,
    read_floats,
    seal,
)
from polylect.merge.agreement import check_agreement, output_specs
from polylect.merge.blocks import Block, accumulator, cut, merge_blocks
from polylect.merge.output import carry_files

BLOCK_BYTES = 2**20  # fits a core's cache: a merge takes a third less time than with 8 MiB
_WEIGHTS_RANGE = 1e12  # far from what float32 products and sums can hold


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merged checkpoint and what was counted on the way.

    Attributes:
        checkpoint: the merged checkpoint, sealed.
        ledger: settings that differed between the models, where the first model's were kept.
    """

    checkpoint: Checkpoint
    ledger: Ledger = field(compare=False)


def merge_linear(
    models: Sequence[Checkpoint],
    weights: Sequence[float] | None,
    out: Path,
    *,
    normalise: bool = True,
    out_dtype: str | None = None,
    labels: Sequence[str] | None = None,
    num_threads: int = 2,
    block_bytes: int = BLOCK_BYTES,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> MergeResult:
    """The weighted sum of checkpoints, written to ``out``, with what was counted on the way.

    Every element is summed in the order of the models, in float32 for a BF16 or F16 result and in
    float64 for F32 and F64; divided by the sum of the weights if ``normalise`` is set; and rounded
    once to the result's type. The same inputs give the same bytes whatever the threads, the block
    size and the shards of the inputs. A model merged with itself gives its own bytes (weights not
    negative; F64 within rounding). Memory grows with ``block_bytes`` and ``num_threads``, not with
    the models or their number.

    The folder holds the first model's config, tokeniser and generation settings, and its lineage;
    it appears by one rename when all of it is on the disk.

    Does not fuse multiplication and addition: mergekit's ``linear`` does where the processor can,
    and differs by the last bit in some 0.5% of BF16 elements; neither is nearer to the exact sum.
    Does not match permuted neurons, resize vocabularies or apply adapters. Does not leave out a
    model whose weight is 0: it is still read and checked.

    Args:
        models: of one architecture, with the same tokeniser and tensors.
        weights: one for each model; None for all the same. They may be negative.
        out: nothing, or an empty folder.
        normalise: divide by the sum of the weights. Without it, weights of 0.5 and 1 give tensors
            half as large again.
        out_dtype: F64, F32, F16 or BF16 for all float tensors; None for the inputs' own types.
        labels: what the models are called in errors and in the lineage; their folders' names by
            default.
        num_threads: blocks worked on at once.
        block_bytes: bytes of sums in one block.
        max_shard_bytes: most bytes of tensors in one file.

    Raises:
        InputError: there are no models; weights that are not finite, too many, too few, or sum to
            0; configs, tokenisers or tensors differ; all before any tensor is read. An element is
            NaN or infinite, a result overflows, or a tensor that is not of floats differs: nothing
            is left behind.
        StorageError: the disk is full or the folder cannot be written.
    """
    named = _label(models, labels)
    shares = _check_weights(weights, len(named), normalise)
    _check_options(out_dtype, num_threads, block_bytes, max_shard_bytes)
    ledger = check_agreement(named)
    specs = output_specs(named, out_dtype)

    def weighted_sum(block: Block) -> Floats:
        wide = accumulator(block.spec.dtype)
        infos = [model.tensors[block.spec.name] for model in named.values()]
        return _weighted_sum(infos, block, shares.astype(wide), normalise)

    with new_folder(out) as folder:
        parents = tuple(
            Parent(label=label, digest=model.digest, licence=model.licence)
            for label, model in named.items()
        )
        writer = ShardWriter(folder, specs, max_shard_bytes=max_shard_bytes)
        blocks = cut(specs, block_bytes)
        merge_blocks(named, blocks, weighted_sum, writer, num_threads=num_threads)
        carry_files(models[0], folder, out_dtype)
        lineage = Lineage(
            method="linear",
            settings={
                "weights": [float(one) for one in shares],
                "normalise": normalise,
                "out_dtype": out_dtype,
            },
            parents=parents,
            licence=join_licences(one.licence for one in parents),
        )
        seal(folder, lineage, digests=writer.finish())
    return MergeResult(Checkpoint.open(out), ledger)


def _weighted_sum(
    infos: Sequence[TensorInfo], block: Block, weights: Floats, normalise: bool
) -> Floats:
    """The block's elements, in the type of ``weights``; infinite where the sum overflows."""
    total = np.empty(block.stop - block.start, weights.dtype)
    values = np.empty_like(total)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        # The first product is not added to zeros: that would turn -0.0 into 0.0.
        read_floats(infos[0], block.start, block.stop, out=total)
        total *= weights[0]
        share = weights[0]
        for info, weight in zip(infos[1:], weights[1:], strict=True):
            read_floats(info, block.start, block.stop, out=values)
            values *= weight
            total += values
            share += weight
        if normalise and share != 1:
            total /= share
    return total


def _label(models: Sequence[Checkpoint], labels: Sequence[str] | None) -> dict[str, Checkpoint]:
    """Models by label; folders of the same name are told apart by their position."""
    if not models:
        raise InputError("no models to merge", "give at least one checkpoint")
    if labels is None:
        names = [model.path.resolve().name for model in models]
        labels = [
            f"{name}#{number}" if names.count(name) > 1 else name
            for number, name in enumerate(names, start=1)
        ]
    if len(labels) != len(models):
        raise InputError(f"{len(labels)} labels for {len(models)} models", "give one for each")
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"label {label!r} is given twice", "labels must differ")
    return dict(zip(labels, models, strict=True))


def _check_weights(
    weights: Sequence[float] | None, num_models: int, normalise: bool
) -> NDArray[np.float64]:
    """The weights, one for each model; finite, and with a sum to divide by."""
    if weights is None:
        return np.full(num_models, 1.0 / num_models)
    if len(weights) != num_models:
        raise InputError(f"{len(weights)} weights for {num_models} models", "give one for each")
    for number, weight in enumerate(weights, start=1):
        if not math.isfinite(weight):
            raise InputError(f"weight {number} is {weight}", "weights must be finite numbers")
    size, total = math.fsum(abs(one) for one in weights), math.fsum(weights)
    if size > _WEIGHTS_RANGE or (normalise and 0 < size < 1 / _WEIGHTS_RANGE):
        raise InputError(f"weights are of the order of {size:g}", "scale them to around 1")
    # 0.1 + 0.2 - 0.3 is not 0 in floats, but it is rounding and nothing else.
    if normalise and not abs(total) > 1e-6 * size:
        listed = ", ".join(f"{one:g}" for one in weights)
        raise InputError(
            f"weights {listed} sum to {total:g}, which nothing can be divided by",
            "change a weight, or set normalise=False",
        )
    return np.array(weights, np.float64)


def _check_options(
    out_dtype: str | None, num_threads: int, block_bytes: int, max_shard_bytes: int
) -> None:
    if out_dtype is not None and out_dtype not in FLOAT_DTYPES:
        raise InputError(f"out_dtype is {out_dtype!r}", f"choose from {', '.join(FLOAT_DTYPES)}")
    sizes = {
        "num_threads": num_threads,
        "block_bytes": block_bytes,
        "max_shard_bytes": max_shard_bytes,
    }
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"{name} is {value}", "it must be at least 1")
