"""The load-balancing loss of a Nexus model's step, whatever its micro-batches and processes.

The shares f of the Switch form are those of the whole step. Where a step is one pass, the pass
knows them; else a pass without gradients over the whole step counts them first, a third more time.
So the loss does not depend on how a step is cut: big batches equal accumulated small ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from polylect.models import (
    Balance,
    Routing,
    blocks_of,
    forward_hidden,
    is_oracle,
    routing_of,
    watched_routing,
)
from polylect.text import TokenBatch
from polylect.training.mesh import Mesh
from polylect.training.routers import routed_experts

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class StepBalance:
    """The balance of one step: told when a pass begins and ends; its value afterwards."""

    def __init__(self, routing: Routing | None, balance: Balance | None) -> None:
        self._routing, self._balance = routing, balance
        self._parts: list[tuple[int, float]] = []

    def begin(self, weight: float) -> None:
        """A pass begins; one of weight 0 only keeps the processes together."""
        if self._routing is not None and self._balance is not None:
            scale = self._balance.scale * weight
            self._routing.balance = replace(self._balance, scale=scale)
            self._routing.balance_loss.clear()

    def end(self, number: int) -> None:
        """Pass ``number`` is over, its gradient added."""
        if self._routing is not None and self._balance is not None:
            self._parts.append((number, sum(self._routing.balance_loss.values())))
            self._routing.balance = None

    def metrics(self, mesh: Mesh) -> dict[str, Any]:
        """The step's ``balance_loss``, summed over its blocks; empty where there is none."""
        if self._balance is None:
            return {}
        return {"balance_loss": sum(mesh.gather(self._parts))}


@contextmanager
def balanced(
    model: "PreTrainedModel", rows: Sequence[TokenBatch], mesh: Mesh, experts_per_token: int = 0
) -> Iterator[StepBalance]:
    """A context in which passes add the load-balancing loss that the model's config asks for.

    Nothing is added for models without Nexus blocks, for the oracle, at a coefficient of 0, and
    where every token goes to all experts: then the loss is constant.

    Args:
        model: what is trained.
        rows: all micro-batches of the step.
        mesh: the processes.
        experts_per_token: of these passes; 0 is the model's own number.
    """
    with routed_experts(model, experts_per_token), _balanced(model, rows, mesh) as balance:
        yield balance


@contextmanager
def _balanced(
    model: "PreTrainedModel", rows: Sequence[TokenBatch], mesh: Mesh
) -> Iterator[StepBalance]:
    routing = routing_of(model)
    coefficient = getattr(model.config, "router_aux_loss_coef", 0.0)
    if routing is None or is_oracle(model) or not coefficient or _all_experts(model):
        yield StepBalance(None, None)
        return
    shares = step_shares(model, rows, mesh) if len(rows) > 1 else None
    num_tokens = sum(row.num_tokens for row in rows)
    try:
        yield StepBalance(routing, Balance(coefficient, num_tokens, shares, float(mesh.size)))
    finally:
        routing.balance = None


@torch.no_grad()
def step_shares(model: "PreTrainedModel", rows: Sequence[TokenBatch], mesh: Mesh) -> Tensor:
    """Share of every expert in the choices of a step, [blocks, experts].

    Args:
        model: with Nexus blocks.
        rows: all micro-batches of the step.
        mesh: the processes.
    """
    blocks = blocks_of(model)
    counts: list[tuple[int, Tensor]] = []
    with torch.random.fork_rng(devices=[]):  # the passes that follow draw the same dropout
        for number, row, _ in mesh.share(rows):
            with watched_routing(model) as seen:
                mesh.forward(model, partial(forward_hidden, batch=row))
            counted = torch.zeros(len(blocks), len(blocks[0].experts), dtype=torch.float64)
            for block, gates, choices in seen:
                counted[block] += torch.bincount(choices.flatten(), minlength=gates.shape[1]).cpu()
            counts.append((number, counted))
    total = torch.stack(mesh.gather(counts)).sum(dim=0)
    return (total / total.sum(dim=1, keepdim=True)).float()


def _all_experts(model: torch.nn.Module) -> bool:
    block = blocks_of(model)[0]
    return block.top_k == len(block.experts)
