"""SHA-256 digests of bytes, plain values, files and folders; times and paths never count."""

import dataclasses
import enum
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any


def digest_bytes(data: bytes) -> str:
    """SHA-256 of the bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def plain(value: object) -> Any:
    """The value in JSON's types: dataclasses become dicts, tuples lists, enums values, paths text.

    >>> plain({"sizes": (1, 2), "file": Path("a/b")})
    {'sizes': [1, 2], 'file': 'a/b'}

    Raises:
        TypeError: a type without a plain form; a programmer's mistake.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no plain form for {type(value).__name__}")


def json_value(value: object) -> Any:
    """``plain``, with the numbers that JSON lacks as text: ``inf``, ``-inf``, ``nan``."""
    return _finite(plain(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(
        json_value(value),
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON of a value."""
    # File names need not be UTF-8; Python represents other bytes as surrogates.
    return digest_bytes(canonical_json(value).encode("utf-8", "surrogatepass"))


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the relative names and contents of all files below a folder.

    Args:
        folder: an existing folder; hidden files count too.
        leave_out: file names to skip, at any depth.
    """
    return digest_of(file_digests(folder, leave_out=leave_out))


def file_digests(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """Digest of every file below a folder by its relative name, sorted by name.

    A link to nothing counts by where it leads, something else that is no file (a pipe) by its name:
    who needs it says that it is not there.
    """
    digests: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name in leave_out:
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            digests[name] = digest_file(path)
        else:
            digests[name] = digest_of({"link": os.readlink(path)} if path.is_symlink() else {})
    return digests
