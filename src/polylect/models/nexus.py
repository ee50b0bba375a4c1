"""The Nexus block: a shared feed-forward and routed experts, their router read off domain vectors.

    e_i = W2 · SwiGLU(W1 · d_i)            a row of the router from a domain's vector
    s   = softmax(x · E)                   over all routed experts, in float32 or better
    y   = FFN_shared(x) + Σ_top-k s_i · FFN_i(x)

The gate is not renormalized, the shared feed-forward has weight 1, and every transformer block has
a projection (W1, W2) of its own (Nexus, section 2; the notes' reading of the printed shapes).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import linear, one_hot, silu

from polylect.base import InputError
from polylect.models.dispatch import routed


class Projection(torch.nn.Module):
    """A weight [out, in] without bias.

    No ``Linear``: a router is neither quantized nor adapted with LoRA.
    """

    def __init__(self, num_outputs: int, num_inputs: int) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(num_outputs, num_inputs))

    def forward(self, x: Tensor) -> Tensor:
        """[…, out] of [..., in]."""
        return linear(x, self.weight)


class NexusRouter(torch.nn.Module):
    """Logits x · E, where E is computed from the domains' vectors alone."""

    def __init__(self, width: int, num_experts: int, domain_size: int) -> None:
        super().__init__()
        self.register_buffer("domains", torch.zeros(num_experts, domain_size))
        self.proj_in = Projection(2 * width, domain_size)
        self.proj_out = Projection(width, width)
        self._kept: tuple[Any, Tensor] | None = None

    domains: Tensor

    def rows(self) -> Tensor:
        """E transposed, [experts, width]; computed once in evaluation mode without gradients."""
        if self.training or torch.is_grad_enabled():
            return self._computed()
        parts = (self.domains, self.proj_in.weight, self.proj_out.weight)
        state = tuple((id(part), part._version, part.data_ptr()) for part in parts)
        if self._kept is None or self._kept[0] != state:
            with torch.no_grad():
                self._kept = (state, self._computed())
        return self._kept[1]

    def train(self, mode: bool = True) -> "NexusRouter":
        """Forget E: weights that are sharded change without a trace."""
        self._kept = None
        return super().train(mode)

    def _computed(self) -> Tensor:
        gate, up = self.proj_in(self.domains).chunk(2, dim=-1)
        return self.proj_out(silu(gate) * up)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [T, experts] of tokens [T, width]."""
        return linear(x, self.rows())

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kept": None}


class LinearRouter(torch.nn.Module):
    """Logits by one free row per expert, as in BTX and Switch."""

    def __init__(self, width: int, num_experts: int) -> None:
        super().__init__()
        self.rows = Projection(num_experts, width)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [T, experts] of tokens [T, width]."""
        return self.rows(x)


class MlpRouter(torch.nn.Module):
    """Logits by a SwiGLU layer and a linear one."""

    def __init__(self, width: int, num_experts: int, hidden_size: int) -> None:
        super().__init__()
        self.proj_in = Projection(2 * hidden_size, width)
        self.proj_out = Projection(num_experts, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [T, experts] of tokens [T, width]."""
        gate, up = self.proj_in(x).chunk(2, dim=-1)
        return self.proj_out(silu(gate) * up)


@dataclass(frozen=True)
class Balance:
    """The load-balancing loss of a step: coefficient · n · Σ_i f_i · P_i in every block (Switch
    Transformer, equations 4 to 6), f_i the share of expert i in all choices, P_i its mean gate.

    Attributes:
        coefficient: of the loss.
        num_tokens: tokens of the step, over all its micro-batches.
        shares: f of every block [blocks, experts] over the whole step; None where one pass is the
            whole step.
        scale: factor on the gradient.
    """

    coefficient: float
    num_tokens: int
    shares: Tensor | None = None
    scale: float = 1.0

    def loss(self, block: int, gates: Tensor, counts: Tensor) -> Tensor:
        """This pass's part of a block's loss; parts of a step add up to it.

        Args:
            block: number of the block.
            gates: probabilities [T, experts] of the pass's tokens.
            counts: choices of each expert in the pass [experts].
        """
        if self.shares is None:
            shares = counts.float() / counts.sum()
        else:
            shares = self.shares[block].to(gates.device)
        mean = gates.sum(dim=0) / self.num_tokens
        return self.coefficient * gates.shape[1] * (shares * mean).sum()


class Routing:
    """What the blocks of one model share while it runs.

    Attributes:
        given: the expert of every token [T], or of all, which then has weight 1; None: the router
            decides.
        balance: adds the load-balancing loss to the gradient; None: there is none.
        balance_loss: its value in the last pass, by block.
        seen: collects the gates [T, experts] and the choices [T, k] of every block and pass.
    """

    def __init__(self) -> None:
        self.given: Tensor | int | None = None
        self.balance: Balance | None = None
        self.balance_loss: dict[int, float] = {}
        self.seen: list[tuple[int, Tensor, Tensor]] | None = None


class _AddedLoss(torch.autograd.Function):
    """The first argument, unchanged; the gradient of the second is a constant.

    The loss of a block takes its gradient on the way through the block's output: inside what shards
    the layer, and inside what recomputes it.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, loss: Tensor, scale: float) -> Tensor:
        ctx.scale, ctx.like = scale, (loss.dtype, loss.device)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        dtype, device = ctx.like
        return gradients[0], torch.full((), ctx.scale, dtype=dtype, device=device), None


class NexusBlock(torch.nn.Module):
    """A shared feed-forward and routed experts; see the module's documentation.

    Args:
        shared: the feed-forward that is always on.
        experts: the routed ones.
        router: gives logits; None for the oracle.
        top_k: experts of a token.
        number: of the block in the model.
        routing: shared by the model's blocks.
    """

    def __init__(
        self,
        shared: torch.nn.Module,
        experts: Sequence[torch.nn.Module],
        router: torch.nn.Module | None,
        *,
        top_k: int,
        number: int,
        routing: Routing,
    ) -> None:
        super().__init__()
        self.shared_expert = shared
        self.experts: Any = torch.nn.ModuleList(experts)
        if router is not None:
            self.router = router
        self.top_k, self.number, self.routing = top_k, number, routing

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Choices [T, k], their weights [T, k], and all gates [T, experts] (None if given).

        Args:
            x: tokens [T, width].

        Raises:
            InputError: an oracle's model runs without being told the domains.
        """
        given = self.routing.given
        if given is not None:
            given = torch.as_tensor(given).expand(len(x))
            return given[:, None].to(x.device), x.new_ones(len(x), 1), None
        if not hasattr(self, "router"):
            raise InputError(
                "the model's router is the oracle, and nothing says which domain the text is of",
                "score text whose language its config.json names, or upcycle with --router nexus",
            )
        logits = self.router(x)
        gates = torch.softmax(
            logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)
        )
        weights, choices = torch.topk(gates, self.top_k, dim=-1)
        return choices, weights, gates

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] of [..., width]."""
        x = hidden.reshape(-1, hidden.shape[-1])
        choices, weights, gates = self.choose(x)
        output = self.shared_expert(x) + routed(x, choices, weights.to(x.dtype), self.experts)
        if gates is not None:
            output = self._watched(output, choices, gates)
        elif self.routing.seen is not None:  # given experts have gate 1
            gates = one_hot(choices[:, 0], len(self.experts)).to(torch.float32)
            self.routing.seen.append((self.number, gates, choices))
        return output.view_as(hidden)

    def _watched(self, output: Tensor, choices: Tensor, gates: Tensor) -> Tensor:
        routing = self.routing
        if routing.seen is not None:
            routing.seen.append((self.number, gates.detach(), choices))
        if routing.balance is None:
            return output
        counts = torch.bincount(choices.flatten(), minlength=gates.shape[1])
        loss = routing.balance.loss(self.number, gates, counts)
        routing.balance_loss[self.number] = float(loss.detach())
        return _AddedLoss.apply(output, loss, routing.balance.scale)  # pyrefly: ignore


def blocks_of(model: torch.nn.Module) -> list[NexusBlock]:
    """The Nexus blocks of a model, in order; none in other models."""
    return [module for module in model.modules() if isinstance(module, NexusBlock)]


@torch.no_grad()
def router_rows(model: torch.nn.Module) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """The domains' vectors [experts, m] and each block's rows of the router [experts, width].

    The vectors are None but for a nexus router; of an MLP router and an oracle there are no rows.
    """
    routers: list[Any] = [getattr(block, "router", None) for block in blocks_of(model)]
    rows = [
        router.rows() if isinstance(router, NexusRouter) else router.rows.weight
        for router in routers if isinstance(router, NexusRouter | LinearRouter)
    ]  # fmt: skip
    vectors = routers[0].domains if rows and isinstance(routers[0], NexusRouter) else None
    return (
        None if vectors is None else vectors.double().cpu().numpy(),
        [row.detach().double().cpu().numpy() for row in rows],
    )


def routing_of(model: torch.nn.Module) -> Routing | None:
    """What the model's blocks share; None for a model without Nexus blocks."""
    return next((module.routing for module in model.modules() if isinstance(module, NexusBlock)),
                None)  # fmt: skip


@contextmanager
def given_experts(model: torch.nn.Module, experts: Tensor | int | None) -> Iterator[None]:
    """A context in which every token goes to a given expert with weight 1.

    Args:
        model: a Nexus model; others are left alone.
        experts: expert of every token of the passes [T], or of all; None: the router decides.
    """
    routing = routing_of(model)
    if routing is None:
        yield
        return
    before, routing.given = routing.given, experts
    try:
        yield
    finally:
        routing.given = before


@contextmanager
def watched_routing(model: torch.nn.Module) -> Iterator[list[tuple[int, Tensor, Tensor]]]:
    """A context that collects block, gates [T, experts] and choices [T, k] of every pass."""
    routing, seen = routing_of(model), []
    if routing is None:
        yield seen
        return
    before, routing.seen = routing.seen, seen
    try:
        yield seen
    finally:
        routing.seen = before


@contextmanager
def every_expert(module: torch.nn.Module) -> Iterator[None]:
    """A context in which all experts see all tokens: to trace a layer, or to compare what it does.

    Args:
        module: a layer or a model; without Nexus blocks nothing changes.
    """
    blocks = blocks_of(module)
    before = [block.top_k for block in blocks]
    for block in blocks:
        block.top_k = len(block.experts)
    try:
        yield
    finally:
        for block, top_k in zip(blocks, before, strict=True):
            block.top_k = top_k
