"""Running a step: resumed where a kill cut it short, complete by one rename, never run twice."""

import os
import time
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
from polylect.runs.folders import folder_lock, lock_path, publish
from polylect.runs.progress import Reporter, Silent
from polylect.runs.results import holds_result
from polylect.runs.steps import Artifact, Call, StepContext

MANIFEST = "step.json"
VOLATILE = "volatile.json"


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
    if artifact is not None and not partial.exists() and not lock_path(out).exists():
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
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(final):
            finished = finished_at(call, final, force=force)
            if finished is not None:
                remove_folder(partial)
                return finished
            out, work = partial / "out", partial / "work"
            remove_folder(out)
            out.mkdir(parents=True)
            work.mkdir(exist_ok=True)
            context = StepContext(out, work, report or Silent(), Ledger(), num_workers)
            wall, cpu = time.monotonic(), time.process_time()
            try:
                call.step.function(call.config, call.inputs, context)
            except Exception:
                _forget(partial)
                raise
            used = {
                "wall_seconds": round(time.monotonic() - wall, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            _complete(call, context, used)
            publish(out, final)
            remove_folder(partial)
    except OSError as error:
        raise storage_error(error, error.filename or final) from error
    return open_artifact(final)


def _forget(partial: Path) -> None:
    """Remove the unfinished folder of a step that failed and kept nothing to go on with."""
    if not any((partial / "work").iterdir()):
        with suppress(OSError):
            remove_folder(partial)


def _complete(call: Call, context: StepContext, used: dict[str, Any]) -> None:
    """Write the manifests into the output folder, everything flushed to disk."""
    outputs = file_digests(context.out, leave_out=frozenset({VOLATILE, MANIFEST}))
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
