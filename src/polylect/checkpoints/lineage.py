"""How a checkpoint was made: method, settings, parents and license, kept beside the weights."""

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
        label: what it was called then.
        digest: digest of its content.
        license: SPDX expression; empty where it is not known.
    """

    label: str
    digest: str
    license: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """How a checkpoint was made.

    Attributes:
        method: e.g. ``linear`` or ``dpo``.
        settings: what the method was told; plain JSON values.
        parents: what it was made from, in the order in which they took part.
        license: SPDX expression; empty where it is not known. See ``join_licenses``.
    """

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    license: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """What ``polylect.json`` holds: a lineage, and the digest of every file as it was sealed."""

    version: int
    lineage: Lineage
    files: dict[str, str]


def join_licenses(licenses: Iterable[str]) -> str:
    """The license of what is made from several parts, by a rule that never guesses.

    One that all parts name is carried; differing ones are joined as ``A AND B`` (in order of
    names, each once: every one of them has to be met); ``unknown`` where any part's is unknown.

    Does not judge whether licenses go together, nor whether weights can be licensed at all.

    Args:
        licenses: SPDX expressions; ``unknown`` or empty where none is known.
    """
    found: set[str] = set()
    for license in licenses:
        if license in {"", "unknown"}:
            return "unknown"
        simple = " OR " not in license and "(" not in license
        found.update(license.split(" AND ") if simple else [license])
    if len(found) > 1:
        found = {f"({one})" if _needs_brackets(one) else one for one in found}
    return " AND ".join(sorted(found)) or "unknown"


def read_seal(folder: Path) -> Seal | None:
    """The seal of a folder, or None where there is no ``polylect.json``.

    Raises:
        InputError: the file is not JSON or not a seal; lists every wrong key.
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
    """Write ``polylect.json``; ``files`` are digests by relative name.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_json(folder / LINEAGE, Seal(version=_VERSION, lineage=lineage, files=files))


def _needs_brackets(license: str) -> bool:
    """Whether an expression offers a choice that would reach beyond it in a longer one."""
    whole = license.startswith("(") and license.find(")") == len(license) - 1
    return " OR " in license and not whole
