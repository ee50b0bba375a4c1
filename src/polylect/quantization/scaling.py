"""Input scaling by SmoothQuant and AWQ, folded into the preceding module.

Scaling must not change the function: after each fold the layer is run on a row of text and its
output compared. A fold that changes the output is undone and counted.
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
"""Ledger event: no preceding module can absorb the scale of a group, by its first name."""

TOLERANCE = 1e-5
"""Largest change of a layer's output by folding, relative to the output's largest value."""

AWQ_STEPS = 20


@dataclass
class Moments:
    """Calibration statistics of a group's inputs.

    Attributes:
        largest: largest magnitude of each input, [in].
        total: sum of magnitudes, [in].
        num_tokens: number of tokens.
        products: XᵀX, [in, in]; None if not needed.
    """

    largest: torch.Tensor
    total: torch.Tensor
    num_tokens: int
    products: torch.Tensor | None


def smooth_scale(largest: torch.Tensor, weight: torch.Tensor, alpha: float) -> torch.Tensor:
    """SmoothQuant's scale of each input, max|x|^α / max|w|^(1−α); 1 where it would be 0.

    Args:
        largest: largest magnitude of each input, [in].
        weight: stacked weights of all linear layers of the group, [out, in].
        alpha: migration strength, from 0 (difficulty stays with activations) to 1 (moves to
            weights).
    """
    heavy = weight.abs().amax(dim=0).clamp(min=1e-5)
    scale = largest.clamp(min=1e-5) ** alpha / heavy ** (1.0 - alpha)
    return torch.where((largest > 0) & torch.isfinite(scale), scale, torch.ones_like(scale))


def awq_scale(
    weight: torch.Tensor, moments: Moments, group: int, dtype: torch.dtype
) -> tuple[torch.Tensor, float, float, float]:
    """AWQ's scale of each input, its exponent, and the squared error with and without it.

    Args:
        weight: stacked weights of all linear layers of the group, [out, in].
        moments: statistics of the inputs.
        group: inputs per quantization scale.
        dtype: storage type of quantization scales.
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
    """Divide the group's inputs by a scale and multiply its weights; whether that was possible.

    Args:
        layer: the loaded decoder layer.
        group: the group to scale.
        scale: scale of each input, [in].
        earlier: names of preceding linear layers that may absorb the scale; empty if only a norm
            may.
        output: runs the layer on a row.
        ledger: counts groups that could not be scaled.
        where: prefix of the decoder layer.
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
    """Ways to divide the group's inputs; each returns a function that undoes it, or None."""
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
