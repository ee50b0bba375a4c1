"""Saved states of a training: weights, optimiser and position, as safetensors, one rename each."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from polylect.base import read_json, remove_folder, sync, write_json
from polylect.models import writing

_LATEST = "state"


@dataclass(frozen=True)
class Position:
    """Where a training stands.

    Attributes:
        step: updates done.
        metrics_bytes: length of ``metrics.jsonl`` at that moment; what lies beyond is undone.
        seconds: seconds of all tries so far, for the record of times only.
    """

    step: int
    metrics_bytes: int
    seconds: float


def save_state(
    work: Path, model: Any, optimiser: torch.optim.Optimizer, position: Position
) -> None:
    """Save everything that resuming needs; the last good state stays until the new one is whole.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    fresh, final, old = (work / name for name in ("state.new", _LATEST, "state.old"))
    remove_folder(fresh)
    with writing(work):
        fresh.mkdir(parents=True)
        tensors = {f"model.{k}": v for k, v in model.named_parameters() if v.requires_grad}
        for index, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optim.{index}.{k}": v for k, v in slots.items()}
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, fresh / "tensors")
        sync(fresh / "tensors")
        write_json(fresh / "position.json", position)
        if final.exists():
            remove_folder(old)
            os.replace(final, old)
        os.replace(fresh, final)
        remove_folder(old)


def load_state(work: Path, model: Any, optimiser: torch.optim.Optimizer) -> Position | None:
    """Put the last saved state into model and optimiser; its position, or None without one."""
    found = next((work / name for name in (_LATEST, "state.old") if (work / name).is_dir()), None)
    if found is None:
        return None
    tensors = load_file(found / "tensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            parameter.copy_(tensors[f"model.{name}"])
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optim."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = tensor
    state = optimiser.state_dict()
    optimiser.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    return Position(**read_json(found / "position.json"))
