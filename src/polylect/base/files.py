"""Files that appear whole or not at all, and text that must be UTF-8."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from polylect.base.digests import json_value
from polylect.base.errors import InputError, storage_error
from polylect.base.json_text import parse_json


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed, otherwise removed.

    Whoever reads ``path`` meanwhile sees the old file or the new one, provided that it opens the
    file once: polars and pyarrow open a Parquet file several times when they are given its path.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def sync(path: Path) -> None:
    """Flush a file to the disk, so that a later rename never exposes an empty file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through ``atomic_file``."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON with sorted keys, through ``atomic_file``."""
    text = json.dumps(
        json_value(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        InputError: the file is missing, or not JSON (see ``parse_json``); names the line.
    """
    return parse_json(read_text(path), str(path), constants=True, lines=True)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte-order mark.

    Raises:
        InputError: the file is missing, a folder, or not UTF-8; names the byte.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise InputError(str(storage_error(error, path))) from None
    refuse_pointer(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(
            path, data, f"{path}: not UTF-8 (byte {error.start}, value 0x{data[error.start]:02x})"
        ) from None


_POINTER = b"version https://git-lfs.github.com/spec/"


def is_pointer(path: Path, data: bytes | None = None) -> bool:
    """Whether a file is what Git leaves in a clone where a large file was not fetched.

    Args:
        path: a file of a user.
        data: its beginning; None reads it.
    """
    if data is None:
        with suppress(OSError), open(path, "rb") as file:  # who reads it says what is wrong
            data = file.read(len(_POINTER))
    return data is not None and data.startswith(_POINTER)


def refuse_pointer(path: Path, data: bytes | None = None) -> None:
    """Refuse a pointer of Git LFS (see ``is_pointer``).

    Raises:
        InputError: it is one.
    """
    if is_pointer(path, data):
        raise InputError(f"{path}: is a Git LFS pointer, not the file itself",
                         f"fetch it with git lfs pull, in {path.parent}")  # fmt: skip


_MAGIC = ((b"\x1f\x8b", "gzip", ".gz"), (b"PAR1", "Parquet", ".parquet"))


def not_utf8(path: Path, data: bytes, message: str) -> InputError:
    """The error for a file that is not UTF-8, with the command that converts it.

    Args:
        path: the file.
        data: its beginning; a byte-order mark, or zero bytes, tell UTF-16.
        message: what is wrong and where.
    """
    for magic, kind, suffix in _MAGIC:
        if data.startswith(magic):
            return InputError(message, f"it is {kind}: call it {path.name}{suffix}")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data
    encoding = "UTF-16" if wide else "LATIN1"
    target = f"{path.stem}.utf8{path.suffix}"
    return InputError(message, f"convert it: iconv -f {encoding} -t UTF-8 {path.name} > {target}")


def remove_folder(path: Path) -> None:
    """Remove a folder and everything in it, if it exists."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise storage_error(error, path) from error
