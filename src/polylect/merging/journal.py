"""How far a merge has come: a small file beside its unfinished shards, for the next process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, read_json, write_json
from polylect.checkpoints import ShardWriter, item_size

PROGRESS = ".progress.json"
JOURNAL_BYTES = 2**29


class Journal:
    """What is on the disk for certain: all tensors before one, and that one up to an element.

    Tensors follow one another in the order of the plan. The ledger of finished tensors is kept
    along, so that a merge that was resumed counts what an uninterrupted one does.
    """

    def __init__(self, folder: Path, key: str, *, every_bytes: int = JOURNAL_BYTES) -> None:
        """Reads what an earlier process left, if it was at the same merge.

        Args:
            folder: holds the unfinished shards.
            key: digest of all that decides the bytes; another one starts from the beginning.
            every_bytes: how much is written between two entries; each waits for the disk.
        """
        self._path = folder / PROGRESS
        self._key = key
        self._every = every_bytes
        self._written = 0
        self._counted: dict[str, Mapping[str, int]] = {}
        self.ledger = Ledger()
        self._tensor, self._stop = "", 0
        found = self._read()
        self._ahead = found is not None
        if found:
            self._tensor, self._stop = found["tensor"], found["stop"]
            self._counted[self._tensor] = found["counts"]  # unless it is begun again
            self.ledger = Ledger.from_json(found["ledger"])

    @property
    def resumes(self) -> bool:
        """Whether there is something to go on with."""
        return self._ahead

    def resume(self, tensor: str, num: int) -> int:
        """How many elements of a tensor are there; to be asked for every tensor, in order."""
        if not self._ahead:
            return 0
        if tensor == self._tensor:
            self._ahead = False
            return self._stop
        return num

    def count(self, tensor: str, counts: Mapping[str, int]) -> None:
        """Remember what a tensor's statistics counted."""
        self._counted[tensor] = counts

    def note(self, writer: ShardWriter, tensor: str, stop: int) -> None:
        """All up to element ``stop`` of a tensor has been written; now and then, put it on disk."""
        before = self._stop if tensor == self._tensor else 0
        if tensor != self._tensor:
            self._settle()
        self._tensor, self._stop = tensor, stop
        self._written += (stop - before) * item_size(writer.tensors[tensor].dtype)
        if self._written >= self._every:
            self._written = 0
            writer.flush()
            write_json(
                self._path,
                {
                    "key": self._key,
                    "tensor": tensor,
                    "stop": stop,
                    "counts": dict(self._counted.get(tensor, {})),
                    "ledger": self.ledger.to_json(),
                },
            )

    def close(self) -> Ledger:
        """Removes the file; the ledger of all tensors."""
        self._settle()
        self._path.unlink(missing_ok=True)
        return self.ledger

    def _settle(self) -> None:
        """The tensor that was being written is finished."""
        for event, num in self._counted.pop(self._tensor, {}).items():
            self.ledger.count(event, num)

    def _read(self) -> dict[str, Any] | None:
        if not self._path.is_file():
            return None
        try:
            found = read_json(self._path)
        except InputError:
            return None
        return found if isinstance(found, dict) and found.get("key") == self._key else None
