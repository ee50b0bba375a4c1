"""From pieces to a checkpoint: written block by block, sealed, renamed; resumed after a kill."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect._version import __version__
from polylect.base import (
    InputError,
    Ledger,
    digest_of,
    one_blas_thread,
    plain,
    storage_error,
    write_json,
    write_text,
)
from polylect.checkpoints import (
    CONFIG,
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
from polylect.experts.pieces import Piece
from polylect.experts.place_of_encoder import PLACE
from polylect.runs import Reporter, Silent, headline, kept_folder

RECORD = "experts.json"
"""What was done, and what was counted; merging and training leave it behind."""
EXPERTS_VERSION = 1
"""Increased when the same operation gives other bytes."""
_SILENT = Silent()


@dataclass(frozen=True)
class Written:
    """A checkpoint that was written, with counts and times.

    Attributes:
        checkpoint: sealed.
        ledger: harmless differences, files that were left, what was counted of texts.
        seconds: CPU and wall seconds.
    """

    checkpoint: Checkpoint
    ledger: Ledger = field(compare=False)
    seconds: Mapping[str, float] = field(compare=False, default_factory=dict)


@dataclass(frozen=True)
class Output:
    """How a result is written; none of it changes a byte of the tensors.

    Attributes:
        num_threads: blocks computed at once.
        max_shard_bytes: maximum bytes of tensors in one file.
        journal_bytes: bytes written between two entries of the journal; None: 512 MiB.
        replace: replace what is at the place, once the result is complete.
        final: where the folder will be moved to; None: where it is written.
        report: receives the number of parameters that are written.
    """

    num_threads: int = 2
    max_shard_bytes: int = MAX_SHARD_BYTES
    journal_bytes: int | None = None
    replace: bool = False
    final: Path | None = None
    report: Reporter = _SILENT


@dataclass(frozen=True)
class Work:
    """What is written.

    Attributes:
        method: in the lineage.
        settings: in the lineage; plain JSON values.
        inputs: checkpoints by label, in order: the parents.
        config: content of config.json.
        pieces: the tensors, sorted by name.
        files_from: label of the model whose files beside the weights are carried.
        title: for the run's list.
        also: writes what else the folder holds.
        key: what else decides the bytes.
    """

    method: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, Checkpoint]
    config: Mapping[str, Any]
    pieces: Sequence[Piece]
    files_from: str
    title: str
    also: Callable[[Path, Path], None] = lambda folder, final: None
    key: str = ""

    def lineage(self) -> Lineage:
        """The lineage of the result; reads the inputs' tensors for their digests."""
        return lineage_of(self.method, self.settings, self.inputs)


def lineage_of(
    method: str, settings: Mapping[str, Any], inputs: Mapping[str, Checkpoint]
) -> Lineage:
    """The lineage of what is made of checkpoints; reads their tensors for their digests."""
    return Lineage(
        method=method,
        settings=plain(dict(settings)),
        parents=tuple(
            Parent(label=label, digest=model.digest, license=model.license)
            for label, model in inputs.items()
        ),
        license=join_licenses(model.license for model in inputs.values()),
    )


def write(work: Work, out: Path, ledger: Ledger, output: Output | None = None) -> Written:
    """Write a checkpoint at ``out``.

    It appears by one rename when it is complete on the disk. After a kill, the same call goes on
    from the last entry of its journal and gives the bytes of an uninterrupted one. Memory grows
    with the number of threads, not with the models or their number.

    Args:
        work: what is written.
        out: a path that does not exist, or an empty folder, unless it is replaced.
        ledger: what was counted so far.
        output: how it is written.

    Raises:
        InputError: an element is NaN or infinite, or a result overflows.
        StorageError: the disk is full or the folder cannot be written.
    """
    output = output or Output()
    cpu, wall = time.process_time(), time.monotonic()
    pieces = sorted(work.pieces, key=lambda piece: piece.spec.name)
    specs = [piece.spec for piece in pieces]
    by_name = {piece.spec.name: piece for piece in pieces}
    with kept_folder(out, replace=output.replace) as folder:
        progress = WriteProgress(
            Journal(folder, _key(work, specs, output.max_shard_bytes)),
            every_bytes=output.journal_bytes,
            on_written=_written(specs, output.report),
        )
        writer = ShardWriter(folder, specs, max_shard_bytes=output.max_shard_bytes, keep=True)
        with one_blas_thread():
            write_blocks(
                writer,
                specs,
                lambda spec, threads: by_name[spec.name].blocks(),
                progress,
                num_threads=output.num_threads,
            )
        lineage = work.lineage()
        digests = writer.finish()
        total = ledger + progress.close()
        work.inputs[work.files_from].carry_beside(folder, without={PLACE})
        write_text(folder / CONFIG, json.dumps(dict(work.config), indent=2) + "\n")
        work.also(folder, output.final or out)
        _write_record(folder, work, total)
        seal(folder, lineage, digests=digests)
        headline(work.title)
    seconds = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}
    return Written(Checkpoint.open(out), total, seconds)


def _write_record(folder: Path, work: Work, ledger: Ledger) -> None:
    versions = {"polylect": __version__, "numpy": np.__version__, "experts": EXPERTS_VERSION}
    content = {
        "method": work.method,
        "settings": plain(dict(work.settings)),
        "models": list(work.inputs),
        "files_from": work.files_from,
        "versions": versions,
        "ledger": ledger.to_json(),
    }
    write_json(folder / RECORD, content)


def _written(specs: Sequence[Any], report: Reporter) -> Callable[[str, int], None]:
    before: dict[str, int] = {}
    total = 0
    for spec in specs:
        before[spec.name] = total
        total += spec.num_elements
    return lambda tensor, stop: report.update(before[tensor] + stop, total, "parameters")


def _key(work: Work, specs: Sequence[Any], max_shard_bytes: int) -> str:
    """Digest of everything that decides the bytes of the shards; reads no tensor."""
    inputs: list[Any] = []
    for model in work.inputs.values():
        for path in sorted({info.file for info in model.tensors.values()}):
            try:
                stat = path.stat()
            except OSError as error:
                storage = storage_error(error, path)
                raise InputError(storage.message, storage.hint) from None
            inputs.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino])
    shapes = [[spec.name, spec.dtype, list(spec.shape)] for spec in specs]
    settings = plain(dict(work.settings))
    return digest_of([EXPERTS_VERSION, np.__version__, work.method, settings, work.key, inputs,
                      shapes, max_shard_bytes])  # fmt: skip
