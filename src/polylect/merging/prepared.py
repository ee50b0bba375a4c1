"""Prepared inputs of a merge: checkpoints written beside the merged one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polylect.base import InputError, plain
from polylect.checkpoints import (
    Checkpoint,
    Lineage,
    Parent,
    join_licenses,
    read_seal,
    seal,
)
from polylect.runs import kept_folder


def inputs_folder(out: Path) -> Path:
    """The folder of the prepared inputs of a merge: ``OUT-inputs``; ``verify`` reads them later."""
    return out.with_name(f"{out.name}-inputs")


def prepared(
    out: Path,
    method: str,
    settings: Mapping[str, Any],
    parents: Mapping[str, tuple[str, str]],
    write: Callable[[Path], None],
) -> Checkpoint:
    """The checkpoint at ``out``, written unless it exists already; it appears by one rename.

    Args:
        out: its folder.
        method: method in the lineage.
        settings: settings in the lineage; plain JSON values.
        parents: digest and license of its parents, by label.
        write: writes config, tokenizer and weights into a folder.

    Raises:
        InputError: the folder holds something else, or what ``write`` raises.
        StorageError: the disk is full or the folder cannot be written.
    """
    lineage = Lineage(
        method=method,
        settings=plain(dict(settings)),
        parents=tuple(
            Parent(label=label, digest=digest, license=license)
            for label, (digest, license) in parents.items()
        ),
        license=join_licenses(license for _, license in parents.values()),
    )
    if out.is_dir() and any(out.iterdir()):
        existing = read_seal(out)
        if existing is None or existing.lineage != lineage:
            raise InputError(
                f"{out}: not empty, and not this {method} input",
                "remove it, or choose another --out",
            )
        return Checkpoint.open(out)
    with kept_folder(out, resume=False) as folder:
        write(folder)
        seal(folder, lineage)
    return Checkpoint.open(out)
