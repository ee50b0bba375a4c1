"""The training loop of the methods that are trained over batches of users (VPL, GPO)."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polylect.people.methods.pairs import CrowdPairs

if TYPE_CHECKING:
    import torch

_WARM_UP = 0.03

Loss = Callable[["torch.Tensor", "torch.Tensor", int], "torch.Tensor"]
"""Of target pairs [users, pairs, 2], context pairs [users, pairs, 2] and the number of the step."""


def train(
    weights: Sequence["torch.Tensor"], loss: Loss, pairs: CrowdPairs, *, num_steps: int,
    users_per_step: int, num_context: int, learning_rate: float, weight_decay: float, seed: int,
    least_context: int | None = None,
) -> None:  # fmt: skip
    """Change weights in place, by Adam on batches of users.

    A step draws users without replacement until all were drawn, and of each, context and target
    pairs that differ, as far as the user has enough; from a user with few they are drawn again.

    Args:
        weights: to be trained.
        loss: of a batch.
        pairs: of the crowd.
        num_steps: of Adam.
        users_per_step: users in a batch.
        num_context: context pairs, and target pairs, of a user.
        learning_rate: the highest: it rises over 3 % of the steps and falls to 0 along a cosine.
        weight_decay: decoupled (AdamW).
        seed: decides the batches.
        least_context: of context pairs, where each step draws how many; None for ``num_context``.
    """
    import torch

    draw = np.random.Generator(np.random.Philox(seed))
    sides = np.stack([pairs.chosen, pairs.rejected], axis=1)
    starts = np.searchsorted(pairs.user, np.arange(len(pairs.users) + 1))
    optimizer = torch.optim.AdamW(weights, learning_rate, weight_decay=weight_decay, fused=True)
    waiting: list[int] = []
    per_step = min(users_per_step, len(pairs.users))
    for step in range(num_steps):
        if len(waiting) < per_step:
            waiting = draw.permutation(len(pairs.users)).tolist()
        users, waiting = waiting[:per_step], waiting[per_step:]
        sizes = np.diff(starts)[users]
        most = int(min(num_context, max(1, sizes.max() // 2)))
        num = most
        if least_context is not None:
            num = int(draw.integers(min(least_context, most), most + 1))
        chosen = [
            starts[u] + _draw(draw, int(n), num + most) for u, n in zip(users, sizes, strict=True)
        ]
        batch = torch.from_numpy(sides[np.stack(chosen)])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, num_steps)
        optimizer.zero_grad()
        loss(batch[:, num:], batch[:, :num], step).backward()
        optimizer.step()


def uniform_layers(shapes: Mapping[str, tuple[int, int]], seed: int) -> dict[str, "torch.Tensor"]:
    """Weights and biases as torch's linear layers begin: uniform in ±1/√inputs.

    Args:
        shapes: outputs and inputs of each layer, by name; gives NAME.weight and NAME.bias.
        seed: decides the draws.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name, (outputs, inputs) in shapes.items():
        for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            uniform = 2.0 * torch.rand(shape, generator=draw) - 1.0
            weights[f"{name}.{part}"] = (uniform / inputs**0.5).requires_grad_()
    return weights


def _draw(draw: np.random.Generator, num: int, wanted: int) -> np.ndarray:
    """Numbers below ``num`` in random order; again and again, where more are wanted."""
    rounds = [draw.permutation(num) for _ in range(-(-wanted // num))]
    return np.concatenate(rounds)[:wanted]


def _schedule(step: int, num_steps: int) -> float:
    warm_up = max(1.0, _WARM_UP * num_steps)
    if step < warm_up:
        return (step + 1) / warm_up
    return (1.0 + float(np.cos(np.pi * (step - warm_up) / max(1.0, num_steps - warm_up)))) / 2
