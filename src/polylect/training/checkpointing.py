"""Saved states of a training: weights, optimizer and position; the last good one stays.

One process writes safetensors, several write shards; either reads what the other wrote.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from polylect.base import read_json, remove_folder, sync, write_json
from polylect.models import writing
from polylect.training.mesh import Mesh, copy_into, load_shards, save_shards, shard_names

_LATEST, _TENSORS, _SHARDS = "state", "tensors", "shards"


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
    work: Path, model: Any, optimizer: torch.optim.Optimizer, position: Position, mesh: Mesh
) -> None:
    """Save everything that resuming needs; the last good state stays until the new one is whole.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    fresh, final, old = (work / name for name in ("state.new", _LATEST, "state.old"))
    tensors = {f"model.{k}": v for k, v in model.named_parameters() if v.requires_grad}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optim.{index}.{k}": v for k, v in slots.items()}
    with writing(work):
        if mesh.first:
            remove_folder(fresh)
            fresh.mkdir(parents=True)
        mesh.barrier()
        if mesh.size > 1:
            save_shards(fresh / _SHARDS, tensors)
            mesh.barrier()
        else:
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, fresh / _TENSORS)
            sync(fresh / _TENSORS)
        if mesh.first:
            write_json(fresh / "position.json", position)
            if final.exists():
                remove_folder(old)
                os.replace(final, old)
            os.replace(fresh, final)
            remove_folder(old)
        mesh.barrier()


def load_state(work: Path, model: Any, optimizer: torch.optim.Optimizer) -> Position | None:
    """Put the last saved state into model and optimizer; its position, or None without one."""
    found = next((work / name for name in (_LATEST, "state.old") if (work / name).is_dir()), None)
    if found is None:
        return None
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    state = optimizer.state_dict()
    with torch.no_grad():
        if (found / _SHARDS).is_dir():
            held: dict[str, Any] = {f"model.{name}": one for name, one in trained.items()}
            known = shard_names(found / _SHARDS)
            held |= {name: one for name, one in _empty_slots(optimizer).items() if name in known}
            load_shards(found / _SHARDS, held)
        else:
            read = load_file(found / _TENSORS)
            for name, one in trained.items():
                copy_into(one, read[f"model.{name}"])
            held = {name: one for name, one in _empty_slots(optimizer).items() if name in read}
            for name, one in held.items():
                copy_into(one, read[name])
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in held.items():
        if name.startswith("optim."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    return Position(**read_json(found / "position.json"))


def _empty_slots(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """AdamW's slots of every parameter, sharded as it is, to be filled."""
    found: dict[str, Any] = {}
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    for index, one in enumerate(parameters):
        found[f"optim.{index}.exp_avg"] = torch.zeros_like(one)
        found[f"optim.{index}.exp_avg_sq"] = torch.zeros_like(one)
        found[f"optim.{index}.step"] = torch.zeros((), dtype=torch.float32)
    return found
