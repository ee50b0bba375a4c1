"""Files of installed packages and of a user's folder, with what each says of its license."""

import importlib.metadata
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import NamedTuple

from polylect.base import InputError

UNSTATED = ""
_LONGEST = 40
_CLASSIFIER = "License :: OSI Approved :: "


class TextFile(NamedTuple):
    """A file: a name that does not depend on where it lies, its license, its path."""

    name: str
    license: str
    path: Path


def installed_distributions() -> list[Distribution]:
    """The installed packages, each once, sorted by name; this one is left out."""
    by_name: dict[str, Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name and name != "polylect":
            by_name.setdefault(name, distribution)
    return [by_name[name] for name in sorted(by_name)]


def stated_license(distribution: Distribution) -> str:
    """The license that a package states: its SPDX expression, else a short name, else empty."""
    metadata = distribution.metadata
    expression = (metadata.get_all("License-Expression") or [""])[0].strip()
    if expression:
        return expression
    stated = (metadata.get_all("License") or [""])[0].strip()
    if stated and len(stated) <= _LONGEST and "\n" not in stated:
        return stated
    classifiers = metadata.get_all("Classifier") or []
    names = [text.removeprefix(_CLASSIFIER) for text in classifiers if text.startswith(_CLASSIFIER)]
    return " AND ".join(names) or UNSTATED


def installed_files(suffixes: Collection[str]) -> Iterator[TextFile]:
    """The files of installed packages with some suffixes, sorted by package and name."""
    for distribution in installed_distributions():
        license = stated_license(distribution)
        for file in sorted(distribution.files or []):
            path = Path(str(distribution.locate_file(file)))
            if file.suffix.lower() in suffixes and ".." not in file.parts and path.is_file():
                yield TextFile(file.as_posix(), license, path)


def folder_files(folder: Path, suffixes: Collection[str]) -> list[TextFile]:
    """The files below a folder with some suffixes, sorted; hidden ones are not read.

    Args:
        folder: or one file.
        suffixes: lower case, with the dot.

    Raises:
        InputError: no such folder, or there is none of them.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such file or folder", "check the path")
    root = folder if folder.is_dir() else folder.parent
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    files = [
        TextFile(path.relative_to(root).as_posix(), UNSTATED, path)
        for path in paths
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not files:
        raise InputError(
            f"{folder}: nothing to read here", f"known kinds are {' '.join(sorted(suffixes))}"
        )
    return files
