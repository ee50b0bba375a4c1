"""Training over several processes (torchrun): FSDP2 shards, shared steps, whole weights.

Parameters, gradients and the optimizer are sharded; a step's micro-batches are dealt to the
processes in turn. Sums depend on the number of processes by rounding only. All processes share one
file system.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from polylect.base import InputError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from transformers import PreTrainedModel


P = TypeVar("P")
R = TypeVar("R")


def processes() -> tuple[int, int]:
    """This process's rank and the number of processes, as torchrun says; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class _Root(torch.nn.Module):
    """Runs a function of the model inside FSDP's hooks, with whole weights."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[["PreTrainedModel"], R]) -> R:
        """The function's result."""
        return function(self.model)


class Dismissed(Exception):
    """The first process has nothing to train; raised in the other processes only."""


_mesh_sizes: list[int] = []
"""Sizes of the meshes that this process was part of."""


def _meet(*, needed: bool) -> None:
    """Wait for the other processes; the first one says whether there is work."""
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    message = [needed]
    dist.broadcast_object_list(message, src=0)
    if not message[0]:
        dist.destroy_process_group()
        raise Dismissed


def dismiss() -> None:
    """Let the other processes end, if the first one found the training done.

    Only the first can know: another run may have finished it while holding the folder's lock.
    """
    if processes()[1] > 1 and not _mesh_sizes:
        with suppress(Dismissed):
            _meet(needed=False)


class Mesh:
    """The processes of a training. With one process, every method is trivial."""

    def __init__(self, *, alone: bool = False) -> None:
        """Wait for the other processes.

        Args:
            alone: use this process only, whatever torchrun says.

        Raises:
            Dismissed: the first process found nothing to do.
        """
        self.rank, self.size = (0, 1) if alone else processes()
        self._root: _Root | None = None
        self._mesh: DeviceMesh | None = None
        if self.size > 1:
            from torch.distributed.device_mesh import init_device_mesh

            _meet(needed=True)
            _mesh_sizes.append(self.size)
            self._mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu",
                                          (self.size,))  # fmt: skip

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def shard(self, model: "PreTrainedModel") -> None:
        """Shard a model's parameters, layer by layer; call before the optimizer is made.

        Raises:
            InputError: the model has no list of layers.
        """
        if self.size == 1:
            return
        from torch.distributed.fsdp import fully_shard

        lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
        if not lists:
            raise InputError(f"{type(model).__name__}: no list of layers to shard",
                             "train it in one process")  # fmt: skip
        # The layers, not the experts of one of them, of which there may be more.
        for layer in max(lists, key=_num_parameters):
            fully_shard(layer, mesh=self._mesh)
        self._root = _Root(model)
        # The root reshards after a forward pass too: between passes every parameter is a shard.
        fully_shard(self._root, mesh=self._mesh, reshard_after_forward=True)

    def forward(self, model: "PreTrainedModel", function: Callable[["PreTrainedModel"], R]) -> R:
        """``function(model)`` with whole weights."""
        return function(model) if self._root is None else self._root(function)

    def unsharded(self, model: "PreTrainedModel", function: Callable[["PreTrainedModel"], R]) -> R:
        """``function(model)`` with all weights whole at once: each process runs its own passes.

        For generation, where processes need different numbers of passes. The whole model must fit
        into every process.
        """
        if self._root is None:
            return function(model)
        from torch.distributed.fsdp import FSDPModule

        modules = [module for module in self._root.modules() if isinstance(module, FSDPModule)]
        for module in modules:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            return self._root(function)
        finally:
            for module in modules:
                module.set_reshard_after_forward(True, recurse=False)
                module.reshard()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of this process's part of the loss: FSDP averages them, we sum."""
        (loss * self.size if self.size > 1 else loss).backward()

    def share(self, parts: Sequence[P]) -> Iterator[tuple[int, P, float]]:
        """This process's parts: number, part and weight 1; or -1, any part and weight 0.

        Every process gets the same number of parts, since all must gather the weights together.
        """
        for start in range(0, len(parts), self.size):
            number = start + self.rank
            if number < len(parts):
                yield number, parts[number], 1.0
            else:
                yield -1, parts[0], 0.0

    def gather(self, results: Sequence[tuple[int, R]]) -> list[R]:
        """The results of all processes in the order of their numbers; -1 is left out."""
        if self.size == 1:
            return [result for _, result in results]
        import torch.distributed as dist

        everything: list[Any] = [None] * self.size
        dist.all_gather_object(everything, [pair for pair in results if pair[0] >= 0])
        pairs = [pair for of_process in everything for pair in of_process]
        return [result for _, result in sorted(pairs, key=itemgetter(0))]

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

    def whole(
        self, model: "PreTrainedModel", make: Callable[[], "PreTrainedModel"]
    ) -> "PreTrainedModel | None":
        """The model with whole weights on the first process, None on the others.

        Args:
            model: sharded.
            make: makes an unsharded model with the same parameters.
        """
        if self.size == 1:
            return model
        whole = make() if self.first else None
        targets = dict(whole.named_parameters()) if whole is not None else {}
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                value = full(parameter)
                if whole is not None:
                    targets[name].copy_(value.to(targets[name].device))
        return whole


def _num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def full(value: Tensor) -> Tensor:
    """The whole tensor, on every process."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def save_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write this process's shards."""
    import torch.distributed.checkpoint as dcp

    dcp.save(tensors, checkpoint_id=folder)


def shard_names(folder: Path) -> set[str]:
    """Names of the tensors in a folder of shards."""
    import torch.distributed.checkpoint as dcp

    return set(dcp.FileSystemReader(folder).read_metadata().state_dict_metadata)


def load_shards(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Fill tensors from shards, whatever the number of processes that wrote them."""
    import torch.distributed.checkpoint as dcp

    dcp.load(tensors, checkpoint_id=folder)


def copy_into(target: Any, value: Tensor) -> None:
    """Copy a whole tensor into a target that may be sharded."""
    if hasattr(target, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value, target.device_mesh, target.placements)
    target.copy_(value)
