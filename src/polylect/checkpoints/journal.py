"""The journal of unfinished work: how far it has come, for the next process after a kill."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import InputError, atomic_file, read_json, write_json

if TYPE_CHECKING:
    import numpy as np

_ENTRY = ".progress.json"


class Journal:
    """The last entry that reached the disk, with its arrays, in the folder of unfinished shards.

    An entry replaces the one before only when all of it is on the disk. Work that began with other
    inputs or settings has another key: nothing that it left is used.

    Attributes:
        entry: what an earlier process wrote last; None where the work begins.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Read what an earlier process left, and remove what does not belong to it.

        Args:
            folder: holds the unfinished shards; they stay only where there is an entry.
            key: digest of all that decides the bytes.
        """
        self._folder, self._key = folder, key
        self._arrays: dict[str, str] = {}
        self._number = 0
        self.entry: dict[str, Any] | None = None
        record = self._read()
        if record is not None:
            self.entry, self._arrays = record["entry"], record["arrays"]
            self._number = record["number"]
        for path in folder.iterdir():
            is_shard = path.suffix == ".safetensors" and record is not None
            is_own = path.name in {_ENTRY, *self._arrays.values()} and record is not None
            if not is_shard and not is_own:
                path.unlink()

    def array(self, name: str) -> "np.ndarray | None":
        """An array of the last entry; None where it has none of that name."""
        import numpy as np

        file = self._arrays.get(name)
        return None if file is None else np.load(self._folder / file)

    def write(
        self, entry: Mapping[str, Any], arrays: "Mapping[str, np.ndarray] | None" = None
    ) -> None:
        """Replace the last entry; what it says must be on the disk already."""
        import numpy as np

        self._number += 1
        earlier = self._arrays
        self._arrays = {name: f".{name}-{self._number}.npy" for name in arrays or {}}
        for name, values in (arrays or {}).items():
            with (
                atomic_file(self._folder / self._arrays[name]) as temporary,
                open(temporary, "wb") as file,
            ):
                np.save(file, values)
        record = {"key": self._key, "number": self._number, "arrays": self._arrays, "entry": entry}
        write_json(self._folder / _ENTRY, record)
        self._remove(earlier)

    def close(self) -> None:
        """Remove the journal: the work is complete."""
        self._remove(self._arrays)
        (self._folder / _ENTRY).unlink(missing_ok=True)

    def _remove(self, arrays: Mapping[str, str]) -> None:
        for file in arrays.values():
            (self._folder / file).unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        path = self._folder / _ENTRY
        try:
            record = read_json(path) if path.is_file() else None
        except InputError:
            return None
        return record if isinstance(record, dict) and record.get("key") == self._key else None
