"""From checkpoints to a merged checkpoint: planned, merged block by block, sealed, renamed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of, one_blas_thread, plain, storage_error
from polylect.checkpoints import (
    MAX_SHARD_BYTES,
    Checkpoint,
    Journal,
    Lineage,
    Parent,
    ShardWriter,
    WriteProgress,
    join_licenses,
    seal,
    write_blocks,
)
from polylect.merging.blocks import tensor_blocks
from polylect.merging.companions import copy_companions
from polylect.merging.config import MergeConfig
from polylect.merging.plan import Plan, plan_merge
from polylect.merging.record import MergeRecord, write_record
from polylect.runs import Reporter, Silent, headline, kept_folder

MERGE_VERSION = 4
"""Increased when the same recipe gives other bytes."""
_SILENT = Silent()


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merged checkpoint, with counts and times.

    Attributes:
        checkpoint: the merged checkpoint, sealed.
        ledger: settings in which models differ, files that were left, ties kept beyond the density.
        seconds: CPU and wall seconds of merging and of computing digests, by name.
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
    journal_bytes: int | None = None,
    final: Path | None = None,
    replace: bool = False,
    ledger: Ledger | None = None,
    report: Reporter = _SILENT,
) -> MergeResult:
    """Merge checkpoints into a checkpoint at ``out``.

    Every operator computes in float32 (float64 for an F64 result) and rounds once to the dtype of
    the result. The same inputs give the same bytes, whatever the threads, the block size and the
    shards of the inputs. Memory grows with the number of threads, not with the models or their
    number.

    The folder has the config.json of the base, or of the first model without a base; all other
    files beside the weights of one model (see ``model_of_files``); the license by
    ``join_licenses``; a record of the recipe and its inputs (``merge.json``) and the seal
    (``polylect.json``). It appears by one rename when it is complete on the disk. After a kill, the
    same call resumes from the last entry of its journal and gives the bytes of an uninterrupted
    one.

    Args:
        config: method and options.
        models: checkpoints by label, in order, the base among them.
        out: a path that does not exist, or an empty folder, unless ``replace`` is set.
        num_threads: number of blocks computed at once.
        max_shard_bytes: maximum bytes of tensors in one file.
        block_elems: elements of a block; default: as many as fit into a core's cache.
        journal_bytes: bytes written between two entries of the journal; default: 512 MiB.
        final: where ``out`` will be moved to; the record's paths of the inputs are relative to it.
            Default: ``out``.
        replace: replace what is at ``out``, once the merge is complete; see ``runs.publish``.
        ledger: what was counted while the models were prepared; recorded with what is here.
        report: receives the number of parameters that are written.

    Raises:
        InputError: see ``plan_merge``, before any tensor is read; an element is NaN or infinite, a
            result overflows, or a tensor that is not of floats differs: nothing but a log is left.
        StorageError: the disk is full or the folder cannot be written: nothing but a log is left.
    """
    plan = plan_merge(config, models)
    record = MergeRecord.of(plan, final or out)
    seconds: dict[str, float] = {}
    with kept_folder(out, replace=replace) as folder:
        key = _key(plan, max_shard_bytes)
        progress = WriteProgress(
            Journal(folder, key), every_bytes=journal_bytes, on_written=_written(plan, report)
        )
        writer = ShardWriter(folder, plan.specs, max_shard_bytes=max_shard_bytes, keep=True)
        with _timed(seconds, "merge"), one_blas_thread():
            write_blocks(
                writer,
                plan.specs,
                lambda spec, workers: tensor_blocks(plan, spec, workers, block_elems),
                progress,
                num_threads=num_threads,
            )
        with _timed(seconds, "digest"):
            files = {label: model.file_digests() for label, model in models.items()}
            lineage = lineage_of(plan)
            outputs = writer.finish()
        total = (ledger or Ledger()) + plan.ledger + progress.close()
        config_from, files_from = models[plan.config_from], models[plan.files_from]
        copy_companions(config_from, folder, config.out_dtype, files_from)
        write_record(folder, record.finished(files, total))
        seal(folder, lineage, digests=outputs)
        merged = ", ".join(label for label in models if label != config.base)
        headline(f"{config.method} of {merged}" + (f" on {config.base}" if config.base else ""))
    return MergeResult(Checkpoint.open(out), total, seconds)


def lineage_of(plan: Plan) -> Lineage:
    """The lineage of a plan's result; computes the digests of its models."""
    return Lineage(
        method=plan.config.method,
        settings=_settings(plan),
        parents=tuple(
            Parent(label=label, digest=model.digest, license=model.license)
            for label, model in plan.models.items()
        ),
        license=join_licenses(model.license for model in plan.models.values()),
    )


def merge_key(plan: Plan, inputs: Sequence[Sequence[str]], vocabulary: str) -> str:
    """Digest of all that decides a merge, before its inputs are prepared.

    Args:
        plan: of the merge, or of one that only plans; see ``open_models``.
        inputs: see ``input_digests``.
        vocabulary: whether the models are extended to the union of their vocabularies.
    """
    parts = [plan.config.method, _settings(plan), list(plan.models), inputs, vocabulary]
    return digest_of([MERGE_VERSION, *parts])


def _settings(plan: Plan) -> dict[str, Any]:
    """The configuration without the method's name, and without what is rarely set."""
    settings = plain(plan.config)
    rare = ("dtype", "weights_required", "tokenizer_from")
    unset = [key for key in rare if not settings[key]]
    return {key: settings[key] for key in settings if key not in {"method", *unset}}


def _written(plan: Plan, report: Reporter) -> Callable[[str, int], None]:
    """Tells a reporter how many parameters of the merge are written."""
    before, total = {}, 0
    for spec in plan.specs:
        before[spec.name] = total
        total += spec.num_elements

    def report_written(tensor: str, stop: int) -> None:
        report.update(before[tensor] + stop, total, "parameters")

    return report_written


def _key(plan: Plan, max_shard_bytes: int) -> str:
    """Digest of everything that decides the bytes of the shards; reads no tensor."""
    inputs: list[Any] = []
    for model in plan.models.values():
        for path in sorted({info.file for info in model.tensors.values()}):
            try:
                stat = path.stat()
            except OSError as error:
                storage = storage_error(error, path)
                raise InputError(storage.message, storage.hint) from None
            inputs.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino])
    specs = [[name, dtype, list(shape)] for name, dtype, shape in plan.specs]
    return digest_of(
        [MERGE_VERSION, np.__version__, _settings(plan), inputs, specs, max_shard_bytes]
    )


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Store the CPU and wall seconds of a ``with`` block."""
    cpu, wall = time.process_time(), time.monotonic()
    yield
    seconds[f"{name}_cpu"] = time.process_time() - cpu
    seconds[f"{name}_wall"] = time.monotonic() - wall
