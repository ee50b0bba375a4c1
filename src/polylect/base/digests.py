"""Digests of content: SHA-256 of bytes, of canonical JSON, of files and folders. Never of times."""

import dataclasses
import enum
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from polylect.base.errors import InputError


def digest_bytes(data: bytes) -> str:
    """SHA-256 of the bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def plain(value: object) -> Any:
    """Value as JSON's own types: dataclasses become dicts, tuples lists, enums values, paths text.

    Raises:
        TypeError: something that has no plain form; a programmer's mistake.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(one) for one in value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no plain form for {type(value).__name__}")


def json_value(value: object) -> Any:
    """``plain``, with numbers that JSON does not have as text: ``inf``, ``-inf``, ``nan``."""
    return _spelled(plain(value))


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _spelled(one) for key, one in value.items()}
    return [_spelled(one) for one in value] if isinstance(value, list) else value


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(
        json_value(value),
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON of a value."""
    # Names of files need not be UTF-8; Python holds what is not as surrogates.
    return digest_bytes(canonical_json(value).encode("utf-8", "surrogatepass"))


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the relative names and contents of all files below a folder.

    Args:
        folder: an existing folder; hidden files count as well.
        leave_out: file names that do not count, at any depth.
    """
    return digest_of(file_digests(folder, leave_out=leave_out))


def file_digests(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """Digest of every file below a folder, by its relative name, in order of names.

    Raises:
        InputError: a link that leads nowhere, or something that is not a file.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name in leave_out:
            continue
        if not path.is_file():
            raise InputError(f"{path}: neither a file nor a folder", "remove it")
        found[path.relative_to(folder).as_posix()] = digest_file(path)
    return found
