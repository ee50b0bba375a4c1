"""A folder that appears whole or not at all."""

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polylect.base import InputError, remove_folder, storage_error


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Gives an empty folder beside ``out``; on success it takes the name, else it is removed.

    What a killed process of this machine left behind for the same ``out`` is removed at the start.

    Args:
        out: where nothing lies yet, or an empty folder.

    Raises:
        InputError: there is something at ``out``.
        StorageError: the folder cannot be written or the disk is full.
    """
    out = out.resolve()
    _refuse_occupied(out)
    mark = f".{out.name}.{socket.gethostname()}."
    temporary = out.with_name(f"{mark}{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out.parent, mark)
        temporary.mkdir()
        yield temporary
        _sync_folder(temporary)
        _refuse_occupied(out)
        os.rename(temporary, out)
        _sync_folder(out.parent)
    except OSError as error:
        raise storage_error(error, out) from error
    finally:
        remove_folder(temporary)


@contextmanager
def kept_folder(out: Path) -> Iterator[Path]:
    """Gives ``.NAME.partial`` beside ``out``, as a kill left it; on success it takes the name.

    After an error it is removed; after a kill or an interruption it stays, for the next call to go
    on with. Only one process at a time may have it.

    Args:
        out: where nothing lies yet, or an empty folder.

    Raises:
        InputError: there is something at ``out``, or another process is writing it.
        StorageError: the folder cannot be written or the disk is full.
    """
    out = out.resolve()
    _refuse_occupied(out)
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise storage_error(error, out) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{out}: another process is writing it", "wait for it, or choose another folder"
            ) from None
        try:
            yield partial
            os.fsync(lock)
            _refuse_occupied(out)
            os.rename(partial, out)
            _sync_folder(out.parent)
        except OSError as error:
            remove_folder(partial)
            raise storage_error(error, out) from error
        except Exception:
            remove_folder(partial)
            raise
    finally:
        os.close(lock)


def _refuse_occupied(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise InputError(f"{out}: there is something already", "remove it or choose another folder")


def _remove_leftovers(parent: Path, mark: str) -> None:
    pattern = re.compile(re.escape(mark) + r"(\d+)\.[0-9a-f]{8}\.tmp")
    for path in parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and not _alive(int(found[1])):
            remove_folder(path)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync_folder(path: Path) -> None:
    """Flush the folder's list of names, so that the rename survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
