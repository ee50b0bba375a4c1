"""From checkpoints to a checkpoint: planned, merged block by block, sealed, made to appear."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of, plain, storage_error
from polylect.checkpoints import (
    MAX_SHARD_BYTES,
    Checkpoint,
    Lineage,
    Parent,
    ShardWriter,
    join_licenses,
    seal,
)
from polylect.merging.blocks import merge_blocks
from polylect.merging.config import MergeConfig
from polylect.merging.journal import JOURNAL_BYTES, PROGRESS, Journal
from polylect.merging.output import carry_files
from polylect.merging.plan import Plan, plan_merge
from polylect.merging.record import MergeRecord, write_record
from polylect.runs import kept_folder

MERGE_VERSION = 3
"""Raised when the same recipe gives other bytes."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merged checkpoint and what was counted on the way.

    Attributes:
        checkpoint: the merged checkpoint, sealed.
        ledger: what fell back to the first model's, and what trimming kept beyond the density.
        seconds: CPU and wall seconds of merging and of digesting, by name.
    """

    checkpoint: Checkpoint
    ledger: Ledger = field(compare=False)
    seconds: Mapping[str, float] = field(compare=False, default_factory=dict)


def merge(
    config: MergeConfig,
    models: Mapping[str, Checkpoint],
    out: Path,
    *,
    num_threads: int = 2,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    block_elems: int | None = None,
    journal_bytes: int = JOURNAL_BYTES,
    place: Path | None = None,
    replace: bool = False,
) -> MergeResult:
    """A merged checkpoint at ``out``, with what was counted on the way.

    Every operator computes in float32 (float64 for an F64 result) and rounds once to the result's
    type. The same inputs give the same bytes whatever the threads, the block size and the shards of
    the inputs. Memory grows with the number of threads, not with the models or their number.

    The folder holds the config, tokenizer, chat template and generation settings of the base, or of
    the first model where there is none; the license by ``join_licenses``; a record of recipe and
    inputs (``merge.json``) and the seal (``polylect.json``). It appears by one rename when all of
    it is on the disk. Killed at any moment, the same call goes on where the last entry of its
    journal was and gives the bytes of an uninterrupted one.

    Args:
        config: what to do.
        models: checkpoints by label, in the order in which they take part, the base among them.
        out: nothing, or an empty folder.
        num_threads: blocks worked on at once.
        max_shard_bytes: most bytes of tensors in one file.
        block_elems: elements of a block; by default what stays in a core's cache.
        journal_bytes: bytes written between two entries of the journal.
        place: a folder as deep as the one that ``out`` will be moved to; the record says where the
            inputs lie, seen from there. Default: it stays.
        replace: also where something lies, which is removed once the merge is complete.

    Raises:
        InputError: see ``plan_merge``, before any tensor is read; an element is NaN or infinite, a
            result overflows, or a tensor that is not of floats differs: nothing is left behind.
        StorageError: the disk is full or the folder cannot be written: nothing is left behind.
    """
    plan = plan_merge(config, models)
    record = MergeRecord.of(plan, place or out)
    seconds: dict[str, float] = {}
    with kept_folder(out, replace=replace) as folder:
        key = _key(record, plan, max_shard_bytes)
        journal = Journal(folder, key, every_bytes=journal_bytes)
        for path in folder.iterdir():  # half-written small files of a process that was killed
            if not journal.resumes or (path.suffix != ".safetensors" and path.name != PROGRESS):
                path.unlink()
        writer = ShardWriter(folder, plan.specs, max_shard_bytes=max_shard_bytes, keep=True)
        with _clock(seconds, "merge"):
            merge_blocks(plan, writer, journal, num_threads=num_threads, block_elems=block_elems)
        with _clock(seconds, "digest"):
            files = {label: model.file_digests() for label, model in models.items()}
            lineage = lineage_of(plan)
            outputs = writer.finish()
        ledger = plan.ledger + journal.close()
        source = models[config.base] if config.base is not None else next(iter(models.values()))
        carry_files(source, folder, config.out_dtype)
        write_record(folder, record.with_files(files))
        seal(folder, lineage, digests=outputs)
    return MergeResult(Checkpoint.open(out), ledger, seconds)


def lineage_of(plan: Plan) -> Lineage:
    """The lineage of a plan's result; reads the digests of its models."""
    settings = plain(plan.config)
    del settings["method"]
    return Lineage(
        method=plan.config.method,
        settings=settings,
        parents=tuple(
            Parent(label=label, digest=model.digest, license=model.license)
            for label, model in plan.models.items()
        ),
        license=join_licenses(model.license for model in plan.models.values()),
    )


def _key(record: MergeRecord, plan: Plan, max_shard_bytes: int) -> str:
    """Digest of all that decides the bytes of the shards, as far as it can be told unread."""
    inputs: list[Any] = []
    for model in plan.models.values():
        for path in sorted({info.file for info in model.tensors.values()}):
            try:
                stat = path.stat()
            except OSError as error:
                found = storage_error(error, path)
                raise InputError(found.message, found.hint) from None
            inputs.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino])
    specs = [[one.name, one.dtype, list(one.shape)] for one in plan.specs]
    return digest_of(
        [MERGE_VERSION, np.__version__, record.settings(), inputs, specs, max_shard_bytes]
    )


class _clock:
    """Adds the CPU and wall seconds of a ``with`` block to a dictionary."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._start = time.process_time(), time.monotonic()

    def __exit__(self, *_: object) -> None:
        cpu, wall = self._start
        self._seconds[f"{self._name}_cpu"] = time.process_time() - cpu
        self._seconds[f"{self._name}_wall"] = time.monotonic() - wall
