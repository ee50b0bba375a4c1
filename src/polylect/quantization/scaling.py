"""Scaling inputs so that rounding hurts less: SmoothQuant and AWQ, folded into what comes before.

A scale must not change the function: after every fold the layer is run on a row of text and its
output compared. What cannot be folded is undone and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from polylect.base import Ledger
from polylect.quantization.hessian import proxy_loss
from polylect.quantization.rounding import nearest, restored, scales_of
from polylect.quantization.stream import Group

UNFOLDED = "left unscaled: nothing before it takes the scale"
"""What the ledger counts for a group of linear layers, by its first name."""

TOLERANCE = 1e-5
"""Largest change of a layer's output by folding, relative to the output's largest value."""

AWQ_STEPS = 20


@dataclass
class Moments:
    """What the calibration says about the inputs of a group.

    Attributes:
        largest: of each input's magnitude, [in].
        total: sum of magnitudes, [in].
        num_tokens: how many tokens.
        products: X'X, [in, in]; None where it is not wanted.
    """

    largest: torch.Tensor
    total: torch.Tensor
    num_tokens: int
    products: torch.Tensor | None


def smooth_scale(largest: torch.Tensor, weight: torch.Tensor, strength: float) -> torch.Tensor:
    """SmoothQuant's factor of each input, max|x|^a / max|w|^(1−a); 1 where it would be 0.

    Args:
        largest: of each input's magnitude, [in].
        weight: of all linear layers that read it, stacked, [out, in].
        strength: a, from 0 (all left with the activations) to 1 (all with the weights).
    """
    heavy = weight.abs().amax(dim=0).clamp(min=1e-5)
    scale = largest.clamp(min=1e-5) ** strength / heavy ** (1.0 - strength)
    return torch.where((largest > 0) & torch.isfinite(scale), scale, torch.ones_like(scale))


def awq_scale(
    weight: torch.Tensor, moments: Moments, group: int, dtype: torch.dtype
) -> tuple[torch.Tensor, float, float, float]:
    """AWQ's factor of each input, its exponent, and the squared error with it and without.

    Args:
        weight: of all linear layers that share the inputs, stacked, [out, in].
        moments: of the inputs.
        group: inputs that share a scale.
        dtype: of scales.
    """
    assert moments.products is not None, "AWQ weighs errors by the inputs' products"
    mean = moments.total / moments.num_tokens
    mean = torch.where(mean > 0, mean, torch.ones_like(mean))
    best: tuple[float, float, torch.Tensor] | None = None
    plain = 0.0
    for step in range(AWQ_STEPS):
        exponent = step / AWQ_STEPS
        scale = mean**exponent
        scale = (scale / (scale.amax() * scale.amin()).sqrt()).clamp(min=1e-4)
        if step == 0:
            scale = torch.ones_like(mean)
        scaled = weight * scale
        steps = scales_of(scaled, 4, group, dtype)
        error = restored(nearest(scaled, steps, 4), steps).div_(scale).sub_(weight)
        loss = float(proxy_loss(error, moments.products).double().sum())
        plain = loss if step == 0 else plain
        if best is None or loss < best[0]:
            best = (loss, exponent, scale)
    assert best is not None, "twenty exponents were tried"
    return best[2], best[1], best[0], plain


@torch.no_grad()
def fold(
    layer: Any,
    group: Group,
    scale: torch.Tensor,
    earlier: Sequence[str],
    output: Callable[[], torch.Tensor],
    ledger: Ledger,
    where: str,
) -> bool:
    """Whether the group's inputs could be divided by a scale, and its weights multiplied.

    Args:
        layer: the loaded decoder layer.
        group: whose inputs are scaled.
        scale: [in].
        earlier: names of linear layers that ran before, which may take the scale into their
            outputs; none where only a norm may.
        output: runs the layer on a row.
        ledger: counts what could not be folded.
        where: name of the decoder layer.
    """
    before = output()
    bound = TOLERANCE * float(before.abs().max())
    for change in _places(layer, group, scale, earlier):
        undo = change()
        if undo is None:
            continue
        members = [layer.get_submodule(name) for name in group.names]
        old = [linear.weight.data for linear in members]
        for linear in members:
            linear.weight.data = linear.weight.data * scale
        if float((output() - before).abs().max()) <= bound:
            return True
        for linear, weight in zip(members, old, strict=True):
            linear.weight.data = weight
        undo()
    ledger.count(UNFOLDED, 1, f"{where}{group.names[0]}")
    return False


def _places(layer: Any, group: Group, scale: torch.Tensor, earlier: Sequence[str]) -> list[Any]:
    """Ways to divide the group's inputs; each gives a function that undoes it, or None."""
    folds: list[Any] = []
    if group.norm:
        norm = layer.get_submodule(group.norm)
        folds.append(lambda: _divide(norm, scale, 0.0))
        folds.append(lambda: _divide(norm, scale, 1.0))  # norms that multiply by 1 + weight
    for name in reversed(list(earlier)):
        source = layer.get_submodule(name)
        if source.out_features == len(scale) and name not in group.names:
            folds.append(lambda source=source: _divide_outputs(source, scale))
    return folds


def _divide(norm: Any, scale: torch.Tensor, added: float) -> Callable[[], None] | None:
    if norm.weight.shape != scale.shape:
        return None
    weight, bias = norm.weight.data, getattr(norm, "bias", None)
    old_bias = bias.data if bias is not None else None
    norm.weight.data = (weight + added) / scale - added
    if bias is not None:
        bias.data = bias.data / scale

    def undo() -> None:
        norm.weight.data = weight
        if bias is not None:
            bias.data = old_bias

    return undo


def _divide_outputs(source: Any, scale: torch.Tensor) -> Callable[[], None]:
    weight, bias = source.weight.data, source.bias
    old_bias = bias.data if bias is not None else None
    source.weight.data = weight / scale[:, None]
    if bias is not None:
        bias.data = bias.data / scale

    def undo() -> None:
        source.weight.data = weight
        if bias is not None:
            bias.data = old_bias

    return undo
