"""What stands between the first matrices of an expert and its last, and the gradient of it.

The activations of nearly all models have a derivative here that takes few passes over memory; any
other function without parameters is differentiated by autograd.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import gelu, silu

_Unary = Callable[[torch.Tensor], torch.Tensor]
_Derivative = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


class Gate:
    """A function of an expert's first products [R, w], row by row; its gradient by autograd.

    Args:
        function: from [R, w] to [R, f]; without parameters, and leaves its input as it is.
    """

    def __init__(self, function: _Unary) -> None:
        self.function = function

    def value(self, hidden: torch.Tensor) -> torch.Tensor:
        """[R, f] of the first products [R, w]."""
        return self.function(hidden)

    def value_and_grad(
        self, hidden: torch.Tensor, grad: torch.Tensor | None, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """The scaled value [R, f], the gradients of ``hidden`` [R, w] and of ``scale`` [R].

        Args:
            hidden: first products [R, w].
            grad: gradient of the scaled value, [R, f]; None if neither gradient is needed. It is
                overwritten.
            scale: factor of each row, [R].
        """
        if grad is None:
            return self.function(hidden) * _column(scale, hidden), None, None
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            value = self.function(leaf)
        plain = value.detach()
        grad_scale = _row_products(grad, plain)
        grad.mul_(_column(scale, grad))
        (grad_hidden,) = torch.autograd.grad(value, leaf, grad)
        return plain * _column(scale, plain), grad_hidden, grad_scale


class Gated(Gate):
    """``act(a) · b`` of first products [a; b], with a known derivative of the activation.

    Args:
        act: the activation.
        derivative: from the gradient of its value and its input to the gradient of its input,
            which it writes into its last argument.
    """

    def __init__(self, act: _Unary, derivative: _Derivative) -> None:
        self.act, self.derivative = act, derivative

    def value(self, hidden: torch.Tensor) -> torch.Tensor:
        """See ``Gate``."""
        a, b = hidden.chunk(2, dim=1)
        return self.act(a).mul_(b)

    def value_and_grad(
        self, hidden: torch.Tensor, grad: torch.Tensor | None, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """See ``Gate``."""
        a, b = hidden.chunk(2, dim=1)
        column = _column(scale, hidden)
        active = self.act(a)
        if grad is None:
            return active.mul_(b).mul_(column), None, None
        grad_hidden = torch.empty_like(hidden)
        grad_a, grad_b = grad_hidden.chunk(2, dim=1)
        value = active * b
        grad_scale = _row_products(grad, value)
        grad.mul_(column)
        torch.mul(grad, active, out=grad_b)
        self.derivative(grad.mul_(b), a, grad_a)
        return value.mul_(column), grad_hidden, grad_scale


def gate_of(act: Any) -> Gate:
    """The gate ``act(a) · b`` of an activation module; its derivative by autograd if it is rare."""
    known = _known(act)
    if known is not None:
        return Gated(*known)

    def function(hidden: torch.Tensor) -> torch.Tensor:
        a, b = hidden.chunk(2, dim=1)
        return act(a) * b

    return Gate(function)


def _known(act: Any) -> tuple[_Unary, _Derivative] | None:
    from transformers.activations import GELUActivation, GELUTanh, SiLUActivation

    if "forward" in vars(act):
        return None
    if type(act) in (torch.nn.SiLU, SiLUActivation):
        return silu, _silu_backward
    if type(act) is torch.nn.GELU:
        return _GELU[act.approximate]
    if type(act) is GELUActivation and act.act is gelu:
        return _GELU["none"]
    if type(act) is GELUTanh and getattr(act.act, "func", None) is gelu:
        return _GELU["tanh"]
    return None


def _silu_backward(grad: torch.Tensor, a: torch.Tensor, out: torch.Tensor) -> None:
    torch.ops.aten.silu_backward(grad, a, grad_input=out)


def _gelu_of(approximate: str) -> tuple[_Unary, _Derivative]:
    def act(a: torch.Tensor) -> torch.Tensor:
        return gelu(a, approximate=approximate)

    def derivative(grad: torch.Tensor, a: torch.Tensor, out: torch.Tensor) -> None:
        torch.ops.aten.gelu_backward(grad, a, approximate=approximate, grad_input=out)

    return act, derivative


_GELU = {name: _gelu_of(name) for name in ("none", "tanh")}


def _column(scale: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return scale.to(like.dtype).unsqueeze(1)


def _row_products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Σ_j a[r, j] · b[r, j], in at least float32."""
    return torch.linalg.vecdot(a, b) if a.dtype.itemsize >= 4 else (a.float() * b.float()).sum(1)
