"""Which tokens go to which expert, and back."""

from collections.abc import Iterable

import torch
from torch import Tensor


def routed(x: Tensor, index: Tensor, weight: Tensor, experts: Iterable[torch.nn.Module]) -> Tensor:
    """Weighted sum of the chosen experts' outputs [T, width].

    Args:
        x: tokens [T, width].
        index: experts of every token [T, k].
        weight: their weights [T, k].
        experts: feed-forwards.
    """
    output = torch.zeros_like(x)
    for number, expert in enumerate(experts):
        token, choice = (index == number).nonzero(as_tuple=True)
        if len(token):
            output = output.index_add(0, token, expert(x[token]) * weight[token, choice, None])
    return output
