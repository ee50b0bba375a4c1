"""The tensors in what a layer is called with: nested lists, tuples and dictionaries."""

from typing import Any

import torch


def equal_tensors(one: Any, other: Any) -> bool:
    """Whether two nested values hold equal tensors; other leaves are not compared."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return all(equal_tensors(value, other.get(key)) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal_tensors, one, other))
    return True


def tensor_shapes(value: Any) -> list[tuple[int, ...]]:
    """Shapes of the tensors in a nested value, in order."""
    if isinstance(value, torch.Tensor):
        return [tuple(value.shape)]
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [shape for part in value for shape in tensor_shapes(part)]
        if isinstance(value, (list, tuple))
        else []
    )
