"""One training over several processes (torchrun): FSDP2 shards, shares of an update, whole weights.

Parameters, gradients and the optimizer are sharded; an update's passes are dealt to the processes
in turn. A sum does not depend on how many there are but for rounding. All processes read and write
one file system.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from polylect.base import InputError

P = TypeVar("P")
R = TypeVar("R")


def processes() -> tuple[int, int]:
    """This process's rank and how many there are, as torchrun says; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class _Root(torch.nn.Module):
    """Runs a function of the model inside FSDP's hooks: every weight is whole while it runs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[[Any], Any]) -> Any:
        """What the function gives."""
        return function(self.model)


class Dismissed(Exception):
    """The first process has nothing to train; only the others of its run ever see this."""


_met: list[int] = []
"""Sizes of the meshes that this process has been part of."""


def _meet(*, needed: bool) -> None:
    """Wait for the other processes; the first one says whether there is something to do."""
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    word = [needed]
    dist.broadcast_object_list(word, src=0)
    if not word[0]:
        dist.destroy_process_group()
        raise Dismissed


def dismiss() -> None:
    """Let the other processes go, where this first one found the training done.

    Only it can know: whoever trained it meanwhile held the lock of its folder.
    """
    if processes()[1] > 1 and not _met:
        with suppress(Dismissed):
            _meet(needed=False)


class Mesh:
    """The processes of a training; made once they are all there. Of one process it does nothing."""

    def __init__(self, *, alone: bool = False) -> None:
        """Wait for the other processes.

        Args:
            alone: of this process only, whatever torchrun says.

        Raises:
            Dismissed: the first process found nothing to do.
        """
        self.rank, self.size = (0, 1) if alone else processes()
        self._root: Any = None
        self._mesh: Any = None
        if self.size > 1:
            from torch.distributed.device_mesh import init_device_mesh

            _meet(needed=True)
            _met.append(self.size)
            self._mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu",
                                          (self.size,))  # fmt: skip

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def shard(self, model: Any) -> None:
        """Shard a model's parameters, layer by layer; before the optimizer is made.

        Raises:
            InputError: it has no list of layers.
        """
        if self.size == 1:
            return
        from torch.distributed.fsdp import fully_shard

        lists = [one for one in model.modules() if isinstance(one, torch.nn.ModuleList)]
        if not lists:
            raise InputError(f"{type(model).__name__}: no list of layers to shard",
                             "train it in one process")  # fmt: skip
        for layer in max(lists, key=len):
            fully_shard(layer, mesh=self._mesh)
        self._root = _Root(model)
        # The root too lets go after a forward pass: between passes every parameter is a shard.
        fully_shard(self._root, mesh=self._mesh, reshard_after_forward=True)

    def forward(self, model: Any, function: Callable[[Any], R]) -> R:
        """``function(model)`` with whole weights."""
        return function(model) if self._root is None else self._root(function)

    def apart(self, model: Any, function: Callable[[Any], R]) -> R:
        """``function(model)`` with all weights whole at once: each process runs its own passes.

        For generation, of which no process knows how many passes another one needs; the whole
        model must fit into every process.
        """
        if self._root is None:
            return function(model)
        from torch.distributed.fsdp import FSDPModule

        parts = [one for one in self._root.modules() if isinstance(one, FSDPModule)]
        for one in parts:
            one.set_reshard_after_forward(False, recurse=False)
            one.unshard()
        try:
            return self._root(function)
        finally:
            for one in parts:
                one.set_reshard_after_forward(True, recurse=False)
                one.reshard()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a process's part of the loss: FSDP averages, we sum."""
        (loss * self.size if self.size > 1 else loss).backward()

    def share(self, parts: Sequence[P]) -> Iterator[tuple[int, P, float]]:
        """This process's parts: number, the part, and 1, or 0 for one that only keeps step.

        Every process runs as many passes as any other, or the weights could not be gathered.
        """
        for start in range(0, len(parts), self.size):
            number = start + self.rank
            real = number < len(parts)
            yield (number, parts[number], 1.0) if real else (-1, parts[0], 0.0)

    def gather(self, found: Sequence[tuple[int, R]]) -> list[R]:
        """What all processes found, in the order of the parts; parts of number -1 are left out."""
        if self.size == 1:
            return [one for _, one in found]
        import torch.distributed as dist

        everything: list[Any] = [None] * self.size
        dist.all_gather_object(everything, [one for one in found if one[0] >= 0])
        return [one for _, one in sorted((x for own in everything for x in own), key=_first)]

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def close(self) -> None:
        """Let go of the others: nothing is exchanged any more."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()
            dist.destroy_process_group()

    def whole(self, model: Any, make: Callable[[], Any]) -> Any:
        """The model with whole weights on the first process, None on the others.

        Args:
            model: sharded.
            make: gives an unsharded one of the same parameters.
        """
        if self.size == 1:
            return model
        made = make() if self.first else None
        names = dict(made.named_parameters()) if made is not None else {}
        with torch.no_grad():
            for name, one in model.named_parameters():
                full = one.full_tensor()
                if made is not None:
                    names[name].copy_(full.to(names[name].device))
        return made


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def full(value: Any) -> Tensor:
    """A tensor that is whole on every process."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def save_shards(folder: Path, tensors: dict[str, Any]) -> None:
    """Every process writes what it holds."""
    import torch.distributed.checkpoint as dcp

    dcp.save(tensors, checkpoint_id=folder)


def shard_names(folder: Path) -> set[str]:
    """Names of the tensors that were written."""
    import torch.distributed.checkpoint as dcp

    return set(dcp.FileSystemReader(folder).read_metadata().state_dict_metadata)


def load_shards(folder: Path, tensors: dict[str, Any]) -> None:
    """Fill tensors from what any number of processes wrote."""
    import torch.distributed.checkpoint as dcp

    dcp.load(tensors, checkpoint_id=folder)


def copy_into(target: Any, value: Tensor) -> None:
    """Copy a whole tensor into one that may be sharded."""
    if hasattr(target, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value, target.device_mesh, target.placements)
    target.copy_(value)
