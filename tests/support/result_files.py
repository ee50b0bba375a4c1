"""What the folder of a result holds."""

from pathlib import Path

OF_ONE_RUN = {"volatile.json", "log.txt"}
"""Files that hold times and rates."""


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every file by its name, without those that no other run repeats."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name not in OF_ONE_RUN
    }
