"""Folders that appear whole: one lock, one unfinished folder beside, one rename."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from polylect.base import InputError, PolylectError, remove_folder, storage_error, write_json
from polylect.runs.records import (
    LOG,
    STATUS,
    Record,
    current_record,
    now,
    record_folder,
    recording,
)

VOLATILE = "volatile.json"
NOT_CONTENT = frozenset({VOLATILE, LOG, STATUS})
"""Files of a result that cannot repeat: no digest and no comparison counts them."""
_LOCK_SECONDS = 10.0
RESULT_FILES = ("step.json", "polylect.json")


def is_vacant(out: Path) -> bool:
    """Whether nothing lies at ``out``, or an empty folder."""
    return not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir()))


def check_writable(folder: Path) -> None:
    """Check that a folder can be made and written, or is there and can be written; makes nothing.

    Raises:
        StorageError: as making it or writing into it would.
    """
    folder = Path(os.path.abspath(folder))
    place = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not place.is_dir():
        number = errno.EEXIST if place == folder else errno.ENOTDIR
    elif not os.access(place, os.W_OK | os.X_OK):
        number = errno.EACCES
    else:
        return
    raise storage_error(OSError(number, os.strerror(number)), folder)


def lock_path(out: Path) -> Path:
    """The lock file of a folder; a kill may leave it behind, which locks nobody out."""
    return out.with_name(f".{out.name}.lock")


@contextmanager
def folder_lock(out: Path) -> Iterator[None]:
    """Let one process at a time write ``out``; the system frees the lock when a process ends.

    Raises:
        PolylectError: another process holds it for more than ten seconds.
    """
    path = lock_path(out)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        with open(path, "w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PolylectError(
                        f"{out}: another process is writing it",
                        "wait for it, or choose another --out DIR",
                    ) from None
                time.sleep(0.2)
                continue
            # The last holder removes the file: a lock on a removed file guards nothing.
            if not _is_at(file.fileno(), path):
                continue
            try:
                _restore(out)
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def publish(folder: Path, out: Path) -> None:
    """Give a complete folder the name ``out``; the caller holds the lock of ``out``.

    What lies at ``out`` is set aside first, so that a kill at any moment loses neither the old
    folder nor the new one. Then it is removed if it is a result, and kept as ``OUT.before`` if it
    is anything else.
    """
    _sync_folder(folder)
    is_result = any((out / name).is_file() for name in RESULT_FILES)
    earlier = None
    if is_vacant(out):
        if out.is_dir() and not out.is_symlink():
            out.rmdir()
    else:
        earlier = _set_aside_path(out) if is_result else _free_name(out)
        os.rename(out, earlier)
    os.rename(folder, out)
    _sync_folder(out.parent)
    if earlier is not None and is_result:
        remove_folder(earlier)


@contextmanager
def kept_folder(out: Path, *, replace: bool = False, resume: bool = True) -> Iterator[Path]:
    """Gives ``.NAME.partial`` beside ``out``, as a kill left it; on success it takes the name.

    After an error it is removed, and what went wrong is kept in the record of ``out``; after a kill
    or an interruption it stays, for the next call to go on with. Only one process at a time may
    have it. The result gets ``volatile.json`` and a log, unless it is a part of a step's.

    Args:
        out: where nothing lies yet, or an empty folder.
        replace: also where something lies; see ``publish``.
        resume: give the folder as a kill left it; otherwise an empty one.

    Raises:
        InputError: there is something at ``out``.
        PolylectError: another process is writing it.
        StorageError: the folder cannot be written or the disk is full.
    """
    out = out.resolve()
    if not replace:
        _refuse_occupied(out)
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(out):
            outer = current_record()
            record = Record(record_folder(out), out, partial, "checkpoint")
            is_part = outer is not None and not outer.holds_steps
            with nullcontext() if is_part else recording(record):
                if not resume:
                    remove_folder(partial)
                partial.mkdir(exist_ok=True)
                started = time.monotonic()
                try:
                    yield partial
                    if not replace:
                        _refuse_occupied(out)
                    if not is_part:
                        seconds = round(time.monotonic() - started, 3)
                        used = {"wall_seconds": seconds, "finished": now(), **record.volatile()}
                        write_json(partial / VOLATILE, used)
                        record.complete(partial)
                    publish(partial, out)
                except Exception:
                    remove_folder(partial)
                    raise
            if not is_part:
                record.remove()
    except OSError as error:
        raise storage_error(error, out) from error


def _refuse_occupied(out: Path) -> None:
    if not is_vacant(out):
        raise InputError(f"{out}: there is something already", "remove it or choose another folder")


def _set_aside_path(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")


def _restore(out: Path) -> None:
    """Undo a replacement that a kill cut short, or clear what a finished one left."""
    earlier = _set_aside_path(out)
    if not earlier.is_dir():
        return
    if os.path.lexists(out):
        remove_folder(earlier)
    else:
        os.rename(earlier, out)


def _free_name(out: Path) -> Path:
    """``OUT.before``, or the first of ``OUT.before-2``, … that is free."""
    path, number = out.with_name(f"{out.name}.before"), 1
    while os.path.lexists(path):
        number += 1
        path = out.with_name(f"{out.name}.before-{number}")
    return path


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _sync_folder(path: Path) -> None:
    """Flush the folder's list of names, so that a rename survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
