"""How far the writing of shards has come, in the order of their tensors."""

from collections.abc import Callable, Mapping

from polylect.base import Ledger
from polylect.checkpoints.dtypes import item_size
from polylect.checkpoints.journal import Journal
from polylect.checkpoints.writer import ShardWriter

_EVERY_BYTES = 2**29


class WriteProgress:
    """Records what is safely on the disk: all tensors before one, and that one up to an element.

    Tensors are written in a fixed order. The ledger of finished tensors is stored too, so that a
    resumed run counts what an uninterrupted one does.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        every_bytes: int | None = None,
        on_written: Callable[[str, int], object] = lambda tensor, stop: None,
    ) -> None:
        """Go on where the journal's last entry was.

        Args:
            journal: of the folder that holds the unfinished shards.
            every_bytes: bytes written between two entries; each entry waits for the disk. Default:
                512 MiB.
            on_written: called with a tensor's name and up to which element it is written.
        """
        self._journal = journal
        self._on_written = on_written
        self._every_bytes = every_bytes or _EVERY_BYTES
        self._unrecorded_bytes = 0
        self._counts: dict[str, Mapping[str, int]] = {}
        self.ledger = Ledger()
        self._tensor, self._stop = "", 0
        entry = journal.entry
        self._skipping = entry is not None
        if entry:
            self._tensor, self._stop = entry["tensor"], entry["stop"]
            self._counts[self._tensor] = entry["counts"]  # until the tensor is begun again
            self.ledger = Ledger.from_json(entry["ledger"])

    def resume(self, tensor: str, num: int) -> int:
        """How many of a tensor's ``num`` elements are written; to be called in order of tensors."""
        if not self._skipping:
            return 0
        if tensor == self._tensor:
            self._skipping = False
            return self._stop
        return num

    def count(self, tensor: str, counts: Mapping[str, int]) -> None:
        """Add counts to the ledger once the tensor is finished."""
        self._counts[tensor] = counts

    def note(self, writer: ShardWriter, tensor: str, stop: int) -> None:
        """A tensor was written up to element ``stop``; from time to time an entry is stored."""
        before = self._stop if tensor == self._tensor else 0
        if tensor != self._tensor:
            self._finish_tensor()
        self._tensor, self._stop = tensor, stop
        self._on_written(tensor, stop)
        self._unrecorded_bytes += (stop - before) * item_size(writer.tensors[tensor].dtype)
        if self._unrecorded_bytes >= self._every_bytes:
            self._unrecorded_bytes = 0
            writer.flush()
            self._journal.write(
                {
                    "tensor": tensor,
                    "stop": stop,
                    "counts": dict(self._counts.get(tensor, {})),
                    "ledger": self.ledger.to_json(),
                }
            )

    def close(self) -> Ledger:
        """Remove the journal; the ledger of all tensors."""
        self._finish_tensor()
        self._journal.close()
        return self.ledger

    def _finish_tensor(self) -> None:
        for event, num in self._counts.pop(self._tensor, {}).items():
            self.ledger.count(event, num)
