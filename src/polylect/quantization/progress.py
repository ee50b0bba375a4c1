"""How far a quantizing has come, kept beside its unfinished shards for the next process."""

from dataclasses import asdict, dataclass

import torch

from polylect.base import Ledger
from polylect.checkpoints import Journal
from polylect.quantization.damage import Streams
from polylect.quantization.layer import Loss


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


def read_state(journal: Journal) -> State | None:
    """Where an earlier process was; None where quantization begins."""
    entry = journal.entry
    if entry is None:
        return None
    hidden, full, quantized = (_tensor(journal, name) for name in ("hidden", "full", "quantized"))
    streams = None
    if full is not None and quantized is not None:
        streams = Streams(tuple(entry["languages"]), full, quantized, entry["errors"])
    losses = [Loss(**loss) for loss in entry["losses"]]
    return State(entry["layers"], hidden, streams, losses, Ledger.from_json(entry["ledger"]))


def write_state(journal: Journal, state: State) -> None:
    """Keep a state after a layer: a kill then loses the next layer and nothing else."""
    streams = state.streams
    tensors = {"hidden": state.hidden}
    if streams is not None:
        tensors |= {"full": streams.full, "quantized": streams.quantized}
    journal.write(
        {
            "layers": state.num_layers,
            "languages": list(streams.languages) if streams else [],
            "errors": streams.errors if streams else {},
            "losses": [asdict(loss) for loss in state.losses],
            "ledger": state.ledger.to_json(),
        },
        {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None},
    )


def _tensor(journal: Journal, name: str) -> torch.Tensor | None:
    values = journal.array(name)
    return None if values is None else torch.from_numpy(values)
