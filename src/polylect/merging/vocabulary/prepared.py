"""Inputs that are made ready for a merge: checkpoints of their own beside the merged one."""

from collections.abc import Callable, Mapping, Sequence
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
    """Where the inputs of a merge lie that had to be made ready: ``OUT-inputs``.

    They stay there: ``verify`` reads them.
    """
    return out.with_name(f"{out.name}-inputs")


def prepared(
    out: Path,
    method: str,
    settings: Mapping[str, Any],
    parents: Mapping[str, tuple[str, str]],
    make: Callable[[Path], None],
) -> Checkpoint:
    """The checkpoint at ``out``, made unless it is there already; it appears by one rename.

    Args:
        out: its folder.
        method: what was done, for the lineage.
        settings: how, for the lineage; plain JSON values.
        parents: digest and license of what it is made from, by label.
        make: writes config, tokenizer and weights into a folder.

    Raises:
        InputError: the folder holds something else, or what ``make`` raises.
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
        there = read_seal(out)
        if there is None or there.lineage != lineage:
            raise InputError(f"{out}: holds something else", "remove it, or choose another --out")
        return Checkpoint.open(out)
    with kept_folder(out, resume=False) as folder:
        make(folder)
        seal(folder, lineage)
    return Checkpoint.open(out)


def split_adapter(name: str) -> tuple[Path, Path] | None:
    """Folders of base and adapter where a model is named ``BASE+ADAPTER``; None where it is not."""
    if "+" not in name or Path(name).is_dir():
        return None
    # A plus may also be a part of a folder's name.
    places = [number for number, letter in enumerate(name) if letter == "+"]
    known = [place for place in places if Path(name[:place]).is_dir()]
    place = (known or places)[-1]
    return Path(name[:place]), Path(name[place + 1 :])


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, numbered where several are the same."""
    return [
        f"{one}#{number}" if names.count(one) > 1 else one
        for number, one in enumerate(names, start=1)
    ]
