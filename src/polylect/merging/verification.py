"""Whether a merged checkpoint is what its record says: digests, and blocks computed again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polylect.base import InputError, generator, one_blas_thread
from polylect.checkpoints import (
    FLOAT_DTYPES,
    Checkpoint,
    Lineage,
    TensorSpec,
    read_raw,
)
from polylect.merging.arithmetic.stack import block_elements
from polylect.merging.blocks import cut, merged_bytes
from polylect.merging.plan import plan_merge
from polylect.merging.record import RECORD, read_record


@dataclass(frozen=True, slots=True)
class Verified:
    """What was held against what.

    Attributes:
        checkpoint: the checkpoint.
        num_outputs: files of the checkpoint whose digests were read.
        num_inputs: files of the inputs whose digests were read.
        num_blocks: blocks that were computed again from the inputs.
    """

    checkpoint: Checkpoint
    num_outputs: int
    num_inputs: int
    num_blocks: int


def verify(
    folder: Path,
    *,
    num_blocks: int = 64,
    seed: int = 0,
    inputs: Mapping[str, Path] | None = None,
) -> Verified:
    """Reads every digest of a checkpoint, and computes blocks of a merged one again.

    For a merge, the digests of all inputs are read too, and ``num_blocks`` blocks, drawn from all
    of them, are merged again and compared byte by byte. A checkpoint that was not merged here only
    has its digests read.

    Args:
        folder: a sealed checkpoint.
        num_blocks: blocks to compute again; 0 for none.
        seed: of the draw.
        inputs: folders of inputs that have moved, by label.

    Raises:
        InputError: a file, an input or a block is not what was recorded; the first is named.
    """
    checkpoint = Checkpoint.open(folder)
    checkpoint.verify()
    lineage = checkpoint.lineage
    assert lineage is not None, "verify refuses a folder without a seal"
    num_outputs = len(list(folder.rglob("*"))) - 1
    if not (folder / RECORD).is_file():
        return Verified(checkpoint, num_outputs, 0, 0)
    num_inputs, models = _check_inputs(folder, inputs or {}, lineage)
    checked = _recompute(checkpoint, models, num_blocks, seed)
    return Verified(checkpoint, num_outputs, num_inputs, checked)


def _check_inputs(
    folder: Path, moved: Mapping[str, Path], lineage: Lineage
) -> tuple[int, dict[str, Checkpoint]]:
    """How many files were read, and the inputs by label, all as recorded."""
    record = read_record(folder)
    for label in moved:
        if label not in [one.label for one in record.models]:
            raise InputError(
                f"{folder}: no input {label!r}",
                f"the inputs are {', '.join(one.label for one in record.models)}",
            )
    num = 0
    models: dict[str, Checkpoint] = {}
    for one, parent in zip(record.models, lineage.parents, strict=True):
        path = moved.get(one.label, folder.resolve() / one.path)
        if not path.is_dir():
            raise InputError(
                f"{path}: input {one.label} of the merge is not there",
                f"say where it is: --inputs {one.label}=DIR",
            )
        model = models[one.label] = Checkpoint.open(path)
        if all((path / name).is_file() for name in one.files):
            found = model.file_digests()
            for name, digest in one.files.items():
                if found.get(name) != digest:
                    raise InputError(
                        f"{path / name}: input {one.label} was changed after the merge",
                        "bring the file back, or merge again",
                    )
            num += len(one.files)
        elif model.digest != parent.digest:  # it may have been cut into other shards
            raise InputError(
                f"{path}: input {one.label} is not what was merged (digest {model.digest[:12]}, "
                f"recorded {parent.digest[:12]})",
                "bring it back, or merge again",
            )
    return num, models


def _recompute(
    merged: Checkpoint, models: Mapping[str, Checkpoint], num_blocks: int, seed: int
) -> int:
    """How many blocks were made again; all are equal."""
    plan = plan_merge(read_record(merged.path).config, models)
    step = block_elements(8)
    blocks = [
        (spec, number) for spec in plan.specs for number in range(-(-math.prod(spec.shape) // step))
    ]
    num = min(num_blocks, len(blocks))
    drawn = generator(seed, "polylect.verify").choice(len(blocks), num, replace=False)
    by_tensor: dict[TensorSpec, list[int]] = {}
    for place in sorted(int(one) for one in drawn):
        spec, number = blocks[place]
        by_tensor.setdefault(spec, []).append(number)
    with one_blas_thread():
        for spec, numbers in by_tensor.items():
            if merged.tensors[spec.name].dtype != spec.dtype:
                raise _differs(merged, spec, 0)
            kernel = plan.kernel(spec, None) if spec.dtype in FLOAT_DTYPES else None
            places = list(cut(math.prod(spec.shape), step, kernel.align if kernel else 1))
            for number in numbers:
                start, stop = places[min(number, len(places) - 1)]
                again = merged_bytes(plan, spec, kernel, start, stop)
                there = read_raw(merged.tensors[spec.name], start, stop)
                if not np.array_equal(again, there):
                    raise _differs(merged, spec, start)
    return num


def _differs(merged: Checkpoint, spec: TensorSpec, start: int) -> InputError:
    return InputError(
        f"{merged.path}: tensor {spec.name!r} from element {start} is not what the inputs and the "
        "recipe give",
        "merge again",
    )
