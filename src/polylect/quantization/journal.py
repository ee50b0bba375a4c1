"""How far a quantizing has come, kept beside its unfinished shards for the next process."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from polylect.base import InputError, Ledger, atomic_file, read_json, write_json
from polylect.quantization.damage import Streams
from polylect.quantization.layer import Loss

PROGRESS = ".progress.json"
_PARTS = ("hidden", "full", "quantized")


@dataclass
class State:
    """What the next layer needs.

    Attributes:
        num_layers: layers that are written.
        hidden: calibration that the next layer reads, or None.
        streams: measured text, or None.
        losses: so far.
        ledger: so far.
    """

    num_layers: int
    hidden: torch.Tensor | None
    streams: Streams | None
    losses: list[Loss]
    ledger: Ledger


class Journal:
    """Written after every layer; a kill loses the layer that was being quantized, nothing else."""

    def __init__(self, folder: Path, key: str) -> None:
        """Look into the folder.

        Args:
            folder: holds the unfinished shards.
            key: digest of all that decides the bytes; what another one left is removed.
        """
        self._folder, self._key = folder, key
        self._earlier = self._progress()
        keep = {PROGRESS, *self._names(self._earlier["layers"])} if self._earlier else set()
        for path in folder.iterdir():
            shard = path.suffix == ".safetensors" and self._earlier is not None
            if not shard and path.name not in keep:
                path.unlink()

    def read(self) -> State | None:
        """Where an earlier process was, or None."""
        progress = self._earlier
        if progress is None:
            return None
        parts = {name: self._load(name, progress["layers"]) for name in _PARTS}
        streams = None
        if parts["full"] is not None and parts["quantized"] is not None:
            streams = Streams(
                tuple(progress["languages"]), parts["full"], parts["quantized"], progress["errors"]
            )
        losses = [Loss(**loss) for loss in progress["losses"]]
        return State(
            progress["layers"],
            parts["hidden"],
            streams,
            losses,
            Ledger.from_json(progress["ledger"]),
        )

    def write(self, state: State) -> None:
        """Keep a state; the one before goes when this is whole."""
        streams = state.streams
        for name, tensor in (
            ("hidden", state.hidden),
            ("full", streams.full if streams else None),
            ("quantized", streams.quantized if streams else None),
        ):
            if tensor is not None:
                with (
                    atomic_file(self._file(name, state.num_layers)) as temporary,
                    open(temporary, "wb") as file,
                ):
                    np.save(file, tensor.numpy())
        write_json(
            self._folder / PROGRESS,
            {
                "key": self._key,
                "layers": state.num_layers,
                "languages": list(streams.languages) if streams else [],
                "errors": streams.errors if streams else {},
                "losses": [asdict(loss) for loss in state.losses],
                "ledger": state.ledger.to_json(),
            },
        )
        self._drop(state.num_layers - 1)

    def close(self) -> None:
        """Remove everything that is no part of the artifact."""
        for path in self._folder.iterdir():
            if path.suffix == ".npy" or path.name == PROGRESS:
                path.unlink()

    def _names(self, layers: int) -> set[str]:
        return {self._file(name, layers).name for name in _PARTS}

    def _file(self, name: str, layers: int) -> Path:
        return self._folder / f".{name}-{layers}.npy"

    def _load(self, name: str, layers: int) -> torch.Tensor | None:
        path = self._file(name, layers)
        return torch.from_numpy(np.load(path)) if path.is_file() else None

    def _drop(self, layers: int) -> None:
        for name in _PARTS:
            self._file(name, layers).unlink(missing_ok=True)

    def _progress(self) -> dict | None:
        path = self._folder / PROGRESS
        if not path.is_file():
            return None
        try:
            progress = read_json(path)
        except InputError:
            return None
        return progress if isinstance(progress, dict) and progress.get("key") == self._key else None
