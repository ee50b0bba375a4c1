"""Paths that options name: a folder of a verb stands for the file in it."""

from pathlib import Path


def file_in(path: Path, name: str) -> Path:
    """The file of that name in a result's folder; a path that is no folder stays as it is."""
    return path / name if path.is_dir() else path
