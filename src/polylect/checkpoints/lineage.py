"""How a checkpoint was made (method, settings, parents, license), stored beside the weights."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylect.base import InputError, decode, read_text, write_json
from polylect.checkpoints._json import strict_json

LINEAGE = "polylect.json"
_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A checkpoint that another was made from.

    Attributes:
        label: its name at that time.
        digest: digest of its content.
        license: SPDX expression; empty if unknown.
    """

    label: str
    digest: str
    license: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """How a checkpoint was made.

    Attributes:
        method: e.g. ``linear`` or ``dpo``.
        settings: settings of the method; plain JSON values.
        parents: what it was made from, in order.
        license: SPDX expression; empty if unknown. See ``join_licenses``.
    """

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    license: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Content of ``polylect.json``: the lineage, and the digest of every file when sealed."""

    version: int
    lineage: Lineage
    files: dict[str, str]


def join_licenses(licenses: Iterable[str]) -> str:
    """The license of something made from several parts; never guessed.

    A common license is kept; differing ones are joined as ``A AND B`` (sorted, without duplicates:
    all of them have to be met); ``unknown`` if any part's license is unknown.

    Does not check whether licenses are compatible, nor whether weights can be licensed at all.

    Args:
        licenses: SPDX expressions; ``unknown`` or empty if unknown.

    >>> join_licenses(["MIT", "Apache-2.0", "MIT"])
    'Apache-2.0 AND MIT'
    """
    expressions: set[str] = set()
    for license in licenses:
        if license in {"", "unknown"}:
            return "unknown"
        simple = " OR " not in license and "(" not in license
        expressions.update(license.split(" AND ") if simple else [license])
    if len(expressions) > 1:
        expressions = {f"({part})" if _needs_brackets(part) else part for part in expressions}
    return " AND ".join(sorted(expressions)) or "unknown"


def read_seal(folder: Path) -> Seal | None:
    """The seal of a folder, or None without ``polylect.json``.

    Raises:
        InputError: not JSON, or not a seal; lists every wrong key.
    """
    path = folder / LINEAGE
    if not path.is_file():
        return None
    seal = decode(Seal, strict_json(read_text(path), str(path)), str(path))
    if seal.version != _VERSION:
        raise InputError(
            f"{path}: version {seal.version}, this polylect reads {_VERSION}",
            "pip install --upgrade polylect",
        )
    return seal


def write_seal(folder: Path, lineage: Lineage, files: dict[str, str]) -> None:
    """Write ``polylect.json``; ``files`` are digests by relative path.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_json(folder / LINEAGE, Seal(version=_VERSION, lineage=lineage, files=files))


def _needs_brackets(license: str) -> bool:
    """Whether an expression holds an OR that would bind wrongly inside an AND."""
    whole = license.startswith("(") and license.find(")") == len(license) - 1
    return " OR " in license and not whole
