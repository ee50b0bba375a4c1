"""Finished answers, kept one by one, so that a process that is killed loses only the last one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Key = tuple[int, int]
"""Number of the request in the file, and of the sample."""


class Journal:
    """An append-only file of JSON lines; what a kill left half-written is cut off."""

    def __init__(self, path: Path) -> None:
        """Read what is there and open the file for more."""
        self.rows: dict[Key, Mapping[str, Any]] = {}
        good = 0
        for end, row in _whole_lines(path):
            self.rows[row["request"], row["sample"]] = row
            good = end
        self._file = open(path, "ab")  # noqa: SIM115 - held until close
        self._file.truncate(good)

    def add(self, request: int, sample: int, **values: Any) -> None:
        """Keep one finished answer; it is with the operating system when this returns."""
        assert (request, sample) not in self.rows, "answered twice"
        row = {"request": request, "sample": sample, **values}
        # The same text comes back from the file: a resumed run reads what this one holds.
        line = json.dumps(row, ensure_ascii=True)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self.rows[request, sample] = json.loads(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each whole line ends, and its row; nothing after the first that is not whole."""
    if not path.is_file():
        return
    end = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except ValueError:
                return
            end += len(line)
            yield end, row
