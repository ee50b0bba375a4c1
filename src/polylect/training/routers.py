"""Routers of a Nexus mixture in training: how many experts they choose, and how fast they learn.

A router learns to choose an expert from the tokens that chose it, so that one which was appended,
and which it does not choose yet, is not found. Where every token goes to all experts each of them
has a gradient; the model keeps its own number (benchmarks/logs/nexus.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from polylect.base import InputError
from polylect.models import blocks_of
from polylect.training.config import OptimConfig


def router_parameters(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters of the routers of a model, block by block; none of other models."""
    routers = [getattr(block, "router", None) for block in blocks_of(model)]
    return [p for router in routers if router is not None for p in router.parameters()]


def check_routers(model: torch.nn.Module, config: OptimConfig) -> None:
    """Refuse a learning rate of routers that are not there.

    Raises:
        InputError: the model has none.
    """
    if config.router_lr_ratio != 1 and not router_parameters(model):
        raise InputError(
            f"--router-lr-ratio {config.router_lr_ratio:g}: the model has no routers",
            "leave it out, or train a mixture: polylect experts upcycle",
        )


def check_experts_per_token(model: torch.nn.Module, num: int) -> None:
    """Refuse a number of experts that a model does not have.

    Args:
        model: what is trained.
        num: of experts per token; 0 is the model's own number, which every model has.

    Raises:
        InputError: the model has no router, or fewer experts.
    """
    if not num:
        return
    blocks = blocks_of(model)
    if not blocks or not router_parameters(model):
        what = "the oracle's router chooses nothing" if blocks else "the model has no experts"
        raise InputError(f"--experts-per-token {num}: {what}", "leave it out")
    if num > len(blocks[0].experts):
        most = len(blocks[0].experts)
        raise InputError(f"--experts-per-token {num}: the model has {most}",
                         f"--experts-per-token {most}")  # fmt: skip


@contextmanager
def routed_experts(model: torch.nn.Module, num: int) -> Iterator[None]:
    """A context in which every token goes to ``num`` experts; 0 is the model's own number."""
    blocks = blocks_of(model) if num else []
    before = [block.top_k for block in blocks]
    for block in blocks:
        block.top_k = num
    try:
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            block.top_k = own
