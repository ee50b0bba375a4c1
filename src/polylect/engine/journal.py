"""Finished answers, kept one by one, so that a process that is killed loses only the last one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import Ledger

if TYPE_CHECKING:
    from polylect.engine.generator import Answer

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

    def missing(self, num_requests: int, num_samples: int) -> list[int]:
        """Requests of which at least one sample is not kept yet, in order."""
        return [
            request
            for request in range(num_requests)
            if any((request, sample) not in self.rows for sample in range(num_samples))
        ]

    def keep(self, request: int, sample: int, answer: "Answer", heard: Ledger) -> None:
        """Keep a local model's answer, unless an earlier try did.

        Args:
            request: number of the request.
            sample: number of the sample.
            answer: what was generated.
            heard: what the generator counted so far; its fallbacks are kept with the answer.
        """
        if (request, sample) in self.rows:
            return
        self.add(
            request,
            sample,
            text=answer.text,
            num_tokens=len(answer.ids),
            stopped=answer.stopped,
            log_likelihood=float(answer.log_probabilities.sum()) + answer.end_log_probability,
            fallbacks=[one for one in heard.by_event() if one.startswith("fallback")],
        )

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
