"""Running a step: resumed where a kill cut it short, complete by one rename, never run twice."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from polylect.base import (
    InputError,
    Ledger,
    digest_of,
    file_digests,
    read_json,
    remove_folder,
    storage_error,
    write_json,
)
from polylect.runs.folders import VOLATILE, folder_lock, lock_path, publish
from polylect.runs.logs import log
from polylect.runs.progress import Reporter, Silent
from polylect.runs.records import (
    LOG,
    Record,
    clear_record,
    now,
    record_folder,
    recording,
)
from polylect.runs.results import holds_result
from polylect.runs.steps import Artifact, Call, StepContext

MANIFEST = "step.json"


def find(call: Call, root: Path) -> Artifact | None:
    """The finished artifact of a call, or None when it has not run yet."""
    folder = call.folder(root)
    return open_artifact(folder) if (folder / MANIFEST).is_file() else None


def open_artifact(folder: Path) -> Artifact:
    """The artifact in a finished step's folder.

    Raises:
        InputError: the folder holds no step manifest, or one that cannot be read.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        ledger = Ledger.from_json(manifest["ledger"])
        return Artifact(folder, digest_of(manifest["outputs"]), manifest["label"], ledger)
    except (KeyError, TypeError):
        raise InputError(
            f"{folder / MANIFEST}: not the manifest of a step", f"remove {folder} and run again"
        ) from None


def execute(
    call: Call, root: Path, report: Reporter | None = None, *, num_workers: int = 1
) -> Artifact:
    """Run a call below ``root``, unless its folder is there, and return its artifact.

    Args:
        call: the step.
        root: where finished steps lie.
        report: where it says how far it is.
        num_workers: processes that it may use.

    Raises:
        PolylectError: what the step raised, or another process holds this step.
        StorageError: the disk is full or the folder cannot be written.
    """
    return _execute(call, call.folder(root), call.partial(root), report, num_workers)


def execute_into(
    call: Call, out: Path, report: Reporter | None = None, *, force: bool = False
) -> Artifact:
    """As ``execute``, with a folder of the user's choosing as the finished one.

    Args:
        call: the step.
        out: where nothing lies yet, an empty folder, or the same result, which is returned.
        report: where it says how far it is.
        force: run the step whatever lies at ``out``. When it is complete, an earlier result is
            removed, and anything else is moved to ``OUT.before``.

    Raises:
        InputError: the folder holds something else; names what differs.
        PolylectError: what the step raised, or another process holds this step.
        StorageError: the disk is full or the folder cannot be written.
    """
    out = Path(os.path.abspath(out))
    partial = call.partial(out.parent)
    artifact = finished_at(call, out, force=force)
    left_over = (partial, lock_path(out), record_folder(out))
    if artifact is not None and not any(path.exists() for path in left_over):
        return artifact
    return _execute(call, out, partial, report, force=force)


def join(call: Call, out: Path) -> None:
    """Take part in ``execute_into`` of another process, which writes: nothing is written here.

    The step must wait for that process before it looks into its folders.
    """
    partial = call.partial(Path(os.path.abspath(out)).parent)
    context = StepContext(partial / "out", partial / "work", Silent(), Ledger())
    call.step.function(call.config, call.inputs, context)


def finished_at(call: Call, out: Path, *, force: bool = False) -> Artifact | None:
    """The artifact of a call in a folder of the user's choosing; None where it is not there yet.

    Args:
        call: the step.
        out: the folder.
        force: None, whatever lies there.

    Raises:
        InputError: the folder holds something else; names what differs.
    """
    is_there = holds_result(out, MANIFEST, call.description, force=force)
    return open_artifact(out) if is_there else None


def _execute(
    call: Call,
    final: Path,
    partial: Path,
    report: Reporter | None,
    num_workers: int = 1,
    *,
    force: bool = False,
) -> Artifact:
    record = Record(record_folder(final), final, partial, call.label)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(final):
            finished = finished_at(call, final, force=force)
            if finished is not None:
                remove_folder(partial)
                clear_record(record.folder, final)
                return finished
            with recording(record):
                _run(call, record, report or Silent(), num_workers)
                publish(partial / "out", final)
            remove_folder(partial)
            record.remove()
    except OSError as error:
        raise storage_error(error, error.filename or final) from error
    return open_artifact(final)


def _run(call: Call, record: Record, report: Reporter, num_workers: int) -> None:
    """Run the step into the ``out`` of its partial folder, whole with manifests and log."""
    partial = record.partial
    out, work = partial / "out", partial / "work"
    remove_folder(out)
    out.mkdir(parents=True)
    work.mkdir(exist_ok=True)
    ledger = Ledger()
    context = StepContext(out, work, Recorded(report, record), ledger, num_workers)
    wall, cpu = time.monotonic(), time.process_time()
    try:
        call.step.function(call.config, call.inputs, context)
    except BaseException:
        _forget(partial)
        raise
    used = {
        "wall_seconds": round(time.monotonic() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "finished": now(),
        **record.volatile(),
    }
    for line in ledger.lines():
        log.info("ledger: %s", line)
    _complete(call, context, used)
    record.complete(out)


class Recorded:
    """A reporter that also writes into the record of the run how far it is."""

    def __init__(self, report: Reporter, record: Record) -> None:
        self._report = report
        self._record = record
        self._stage = ""
        self._begun = time.monotonic()

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Pass the progress on; a new unit is a new stage, which the log names."""
        if unit != self._stage:
            self._stage, self._begun = unit, time.monotonic()
            log.info("%s: begins, %s", unit or "work", f"{total:,.0f} in all")
        if done >= total:
            log.info("%s: done in %.1f s", unit or "work", time.monotonic() - self._begun)
        self._record.update(done=done, total=total, unit=unit)
        self._report.update(done, total, unit, note)

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Pass the metrics on."""
        self._report.metrics(step, row)


def _forget(partial: Path) -> None:
    """Remove the unfinished folder of a step that failed and kept nothing to go on with."""
    if not any((partial / "work").iterdir()):
        with suppress(OSError):
            remove_folder(partial)


def _complete(call: Call, context: StepContext, used: dict[str, Any]) -> None:
    """Write the manifests into the output folder, everything flushed to disk."""
    outputs = file_digests(context.out, leave_out=frozenset({VOLATILE, MANIFEST, LOG}))
    write_json(
        context.out / MANIFEST,
        {
            **call.description,
            "label": call.label,
            "key": call.key,
            "outputs": outputs,
            "ledger": context.ledger.to_json(),
        },
    )
    partial_file = context.work / VOLATILE
    earlier = read_json(partial_file) if partial_file.is_file() else {}
    write_json(context.out / VOLATILE, earlier | used)
