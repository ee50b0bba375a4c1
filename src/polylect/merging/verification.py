"""Verifying a merged checkpoint against its record: digests, and blocks computed again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polylect.base import InputError, generator, one_blas_thread
from polylect.checkpoints import Checkpoint, Lineage, TensorSpec, read_raw
from polylect.merging.arithmetic.stack import block_elements
from polylect.merging.blocks import tensor_blocks
from polylect.merging.plan import plan_merge
from polylect.merging.record import RECORD, read_record


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified.

    Attributes:
        checkpoint: the checkpoint.
        num_outputs: files of the checkpoint whose digests were checked.
        num_inputs: files of the inputs whose digests were checked.
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
    """Check every digest of a checkpoint, and compute blocks of a merged one again.

    For a merge, the digests of all inputs are checked too, and ``num_blocks`` random blocks are
    merged again and compared byte by byte. For a checkpoint that was not merged by polylect only
    its digests are checked.

    Args:
        folder: a sealed checkpoint.
        num_blocks: number of blocks to compute again; 0 for none.
        seed: seed of the draw.
        inputs: folders of inputs that have moved, by label.

    Raises:
        InputError: a file, an input or a block differs from the record; names the first.
    """
    checkpoint = Checkpoint.open(folder)
    checkpoint.verify()
    lineage = checkpoint.lineage
    assert lineage is not None, "verify refuses a folder without a seal"
    num_outputs = len(list(folder.rglob("*"))) - 1
    if not (folder / RECORD).is_file():
        return Verified(checkpoint, num_outputs, 0, 0)
    num_inputs, models = _check_inputs(folder, inputs or {}, lineage)
    num_checked = _recompute(checkpoint, models, num_blocks, seed)
    return Verified(checkpoint, num_outputs, num_inputs, num_checked)


def _check_inputs(
    folder: Path, moved: Mapping[str, Path], lineage: Lineage
) -> tuple[int, dict[str, Checkpoint]]:
    """Number of files checked, and the inputs by label."""
    record = read_record(folder)
    labels = [model.label for model in record.models]
    for label in moved:
        if label not in labels:
            raise InputError(f"{folder}: no input {label!r}", f"the inputs are {', '.join(labels)}")
    num = 0
    models: dict[str, Checkpoint] = {}
    for recorded, parent in zip(record.models, lineage.parents, strict=True):
        label = recorded.label
        path = moved.get(label, folder.resolve() / recorded.path)
        if not path.is_dir():
            raise InputError(
                f"{path}: input {label} of the merge is missing",
                f"give its folder: --inputs {label}=DIR",
            )
        model = models[label] = Checkpoint.open(path)
        if all((path / name).is_file() for name in recorded.files):
            digests = model.file_digests()
            for name, digest in recorded.files.items():
                if digests.get(name) != digest:
                    raise InputError(
                        f"{path / name}: input {label} was changed after the merge",
                        "restore the file, or merge again",
                    )
            num += len(recorded.files)
        elif model.digest != parent.digest:  # it may have been sharded anew
            raise InputError(
                f"{path}: input {label} is not what was merged (digest {model.digest[:12]}, "
                f"recorded {parent.digest[:12]})",
                "restore it, or merge again",
            )
    return num, models


def _recompute(
    merged: Checkpoint, models: Mapping[str, Checkpoint], num_blocks: int, seed: int
) -> int:
    """Compute random blocks again and compare them; the number of blocks."""
    plan = plan_merge(read_record(merged.path).config, models)
    step = block_elements(8)
    all_blocks = [
        (spec, number) for spec in plan.specs for number in range(-(-spec.num_elements // step))
    ]
    num = min(num_blocks, len(all_blocks))
    drawn = generator(seed, "polylect.verify").choice(len(all_blocks), num, replace=False)
    by_tensor: dict[TensorSpec, list[int]] = {}
    for index in sorted(map(int, drawn)):
        spec, number = all_blocks[index]
        by_tensor.setdefault(spec, []).append(number)
    with one_blas_thread():
        for spec, numbers in by_tensor.items():
            if merged.tensors[spec.name].dtype != spec.dtype:
                raise _differs(merged, spec, 0)
            blocks = tensor_blocks(plan, spec)
            ranges = list(blocks.ranges(step))
            for number in numbers:
                start, stop = ranges[min(number, len(ranges) - 1)]
                expected = blocks.compute(start, stop)
                if not np.array_equal(expected, read_raw(merged.tensors[spec.name], start, stop)):
                    raise _differs(merged, spec, start)
    return num


def _differs(merged: Checkpoint, spec: TensorSpec, start: int) -> InputError:
    return InputError(
        f"{merged.path}: tensor {spec.name!r} from element {start} is not what the inputs and the "
        "recipe give",
        "merge again",
    )
