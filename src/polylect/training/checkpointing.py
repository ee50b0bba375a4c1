"""Saved states that a training resumes from: weights, optimizer and position.

One process writes safetensors, several write shards; either reads what the other wrote.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polylect.base import read_json, remove_folder, sync, write_json
from polylect.models import writing
from polylect.training.finite import check_finite
from polylect.training.mesh import Mesh, copy_into, load_shards, save_shards, shard_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_LATEST, _TENSORS, _SHARDS = "state", "tensors", "shards"


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
        step: steps done.
        metrics_bytes: length of ``metrics.jsonl`` then; a resume cuts off the rest.
        seconds: seconds trained so far, for the record of times only.
    """

    step: int
    metrics_bytes: int
    seconds: float


def save_state(
    work: Path,
    model: "PreTrainedModel",
    optimizer: torch.optim.Optimizer,
    position: Position,
    mesh: Mesh,
) -> None:
    """Save all that a resume needs; the last state stays until the new one is complete.

    Raises:
        PolylectError: a weight or a moment is not finite: the last state stays.
        StorageError: the disk is full or the folder cannot be written.
    """
    fresh, final, old = (work / name for name in ("state.new", _LATEST, "state.old"))
    tensors = {f"model.{k}": v for k, v in model.named_parameters() if v.requires_grad}
    tensors |= moments_of(optimizer)
    check_finite(tensors, position.step)
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


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer keeps of every parameter, by name and number of the parameter."""
    state = optimizer.state_dict()["state"]
    return {f"optim.{i}.{name}": value for i, kept in state.items() for name, value in kept.items()}


def load_state(
    work: Path, model: "PreTrainedModel", optimizer: torch.optim.Optimizer
) -> Position | None:
    """Load the last saved state into model and optimizer; its position, or None without one."""
    folder = next((work / name for name in (_LATEST, "state.old") if (work / name).is_dir()), None)
    if folder is None:
        return None
    trained = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    state = optimizer.state_dict()
    with torch.no_grad():
        if (folder / _SHARDS).is_dir():
            tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in trained.items()}
            names = shard_names(folder / _SHARDS)
            tensors |= {k: slot for k, slot in _empty_slots(optimizer).items() if k in names}
            load_shards(folder / _SHARDS, tensors)
        else:
            saved = load_file(folder / _TENSORS)
            for name, parameter in trained.items():
                copy_into(parameter, saved[f"model.{name}"])
            tensors = {k: slot for k, slot in _empty_slots(optimizer).items() if k in saved}
            for name, slot in tensors.items():
                copy_into(slot, saved[name])
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optim."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    return Position(**read_json(folder / "position.json"))


def _empty_slots(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state of every parameter, sharded like the parameter, to be filled."""
    slots: dict[str, Tensor] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in enumerate(parameters):
        slots[f"optim.{index}.exp_avg"] = torch.zeros_like(parameter)
        slots[f"optim.{index}.exp_avg_sq"] = torch.zeros_like(parameter)
        slots[f"optim.{index}.step"] = torch.zeros((), dtype=torch.float32)
    return slots
