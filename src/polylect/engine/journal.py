"""Finished answers, stored one by one: a killed process loses only the last one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import Ledger

if TYPE_CHECKING:
    from polylect.engine.generator import Answer

Key = tuple[int, int]
"""Index of the request in the file, and of the sample."""


def no_answer(stopped: str, why: str) -> dict[str, Any]:
    """The values of an answer that is none.

    Args:
        stopped: ``refused``, ``filter`` or ``failed``.
        why: the words of whoever did not answer.
    """
    return {
        "text": "", "num_tokens": 0, "stopped": stopped, "log_likelihood": None, "dialect": None,
        "why": why,
    }  # fmt: skip


class Journal:
    """An append-only file of JSON lines; an incomplete last line is cut off."""

    def __init__(self, path: Path) -> None:
        """Read the file and open it for appending."""
        self.rows: dict[Key, Mapping[str, Any]] = {}
        good = 0
        for end, row in _whole_lines(path):
            self.rows[row["request"], row["sample"]] = row
            good = end
        self._path = path
        self._file = open(path, "ab")  # noqa: SIM115 - open until close
        self._file.truncate(good)

    def add(self, request: int, sample: int, **values: Any) -> None:
        """Append a finished answer; the operating system has it when this returns."""
        assert (request, sample) not in self.rows, "answered twice"
        row = {"request": request, "sample": sample, **values}
        # Round trip through JSON: a resumed run reads the same values.
        line = json.dumps(row, ensure_ascii=True)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self.rows[request, sample] = json.loads(line)

    def missing(self, num_requests: int, num_samples: int) -> list[int]:
        """Requests with at least one missing sample, in order."""
        return [
            request
            for request in range(num_requests)
            if any((request, sample) not in self.rows for sample in range(num_samples))
        ]

    def keep(self, request: int, sample: int, answer: "Answer", counts: Ledger) -> None:
        """Append a local model's answer, unless it is stored already.

        Args:
            request: index of the request.
            sample: index of the sample.
            answer: the generated answer.
            counts: the generator's counts so far; its fallbacks are stored with the answer.
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
            fallbacks=[event for event in counts.by_event() if event.startswith("fell back")],
        )

    def close(self) -> None:
        """Close the file; one without an answer is removed, there is nothing to go on with."""
        self._file.close()
        if not self.rows:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """End offset and row of every line up to the first incomplete one."""
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
