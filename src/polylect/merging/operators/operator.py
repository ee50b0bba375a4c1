"""Operators: functions of one tensor of every model, whose keyword parameters are the options."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from polylect.base import ANY, InputError, Range, check_value, did_you_mean, range_of
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.bf16 import PackedSum
from polylect.merging.arithmetic.stack import Stack, from_arrays, thread_buffer

_Marker = NewType("_Marker", str)
PerModel = Annotated[tuple[float, ...], _Marker("per model")]
"""An option with a value for every model except the base."""

Fraction = Annotated[PerModel, Range(0, 1)]
"""A share of the elements, for every model except the base."""

ALL_ONES: tuple[float, ...] = (1.0,)
"""Default of a ``PerModel`` option: 1 for every model."""

Block = Callable[[int, int], Floats]


@dataclass(frozen=True, slots=True)
class Kernel:
    """How the elements of one tensor are merged, once its statistics are known.

    Attributes:
        block: merges elements ``start`` to ``stop``, from any thread; the result is a buffer of the
            thread, valid until its next call.
        align: blocks begin and end at multiples of this (or at the tensor's end).
        num_buffers: float32 arrays of a block's length that a call uses.
        counts: for the ledger: number by event.
        packed: a faster way to compute the bytes of a BF16 result; None without one.
    """

    block: Block
    align: int = 1
    num_buffers: int = 3
    counts: Mapping[str, int] = field(default_factory=dict)
    packed: PackedSum | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an operator.

    Attributes:
        name: name in recipes; the parameter ``lambda_`` is ``lambda`` there.
        per_model: whether it has a value for every model except the base.
        kind: type of the value.
        default: ``inspect.Parameter.empty`` if it is required.
        allowed: type of the value with its range or choices.
        help: what the operator's docstring says of it; empty where another operator says it.
    """

    name: str
    per_model: bool
    kind: type
    default: Any
    allowed: Any
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Operator:
    """A merge method.

    Attributes:
        name: name for ``--method`` and in recipes.
        function: gives the kernel for a stack and options.
        base: whether it takes a base: ``required``, ``optional`` or ``none``.
        min_models: minimum number of models, without the base.
        max_models: maximum number of models, without the base; None: unlimited.
        random: whether it draws random numbers.
        options: options by their name in recipes.
    """

    name: str
    function: Callable[..., Kernel]
    base: str
    min_models: int
    max_models: int | None
    random: bool
    options: Mapping[str, Option]

    def __call__(
        self,
        *models: NDArray[Any],
        base: NDArray[Any] | None = None,
        name: str = "",
        labels: tuple[str, ...] | None = None,
        parity: str | None = None,
        **options: Any,
    ) -> NDArray[Any]:
        """The merged array: float32, or float64 for float64 arrays.

        Args:
            models: arrays of one shape.
            base: what they were trained from, for operators with a base.
            name: name of the tensor; seeds the random numbers, as do the labels.
            labels: labels of the models; default: ``0``, ``1``, …
            parity: see ``Stack``.
            options: see the operator's function; a single number applies to all models.

        >>> from polylect.merging import OPERATORS
        >>> OPERATORS["linear"](np.zeros(2), np.ones(2), weight=(1, 3)).tolist()
        [0.75, 0.75]
        """
        stack = from_arrays(models, base=base, name=name, labels=labels, parity=parity)
        kernel = self.kernel(stack, options)
        merged = np.empty(stack.num_elements, stack.dtype)
        step = max(kernel.align, 2**16 // kernel.align * kernel.align)
        for start in range(0, stack.num_elements, step):
            stop = min(start + step, stack.num_elements)
            merged[start:stop] = kernel.block(start, stop)
        return merged.reshape(stack.shape)

    def kernel(self, stack: Stack, options: Mapping[str, Any]) -> Kernel:
        """The kernel for a tensor; computes its statistics, which may read all of it.

        Raises:
            InputError: an option is unknown, missing, out of its range, or has the wrong number of
                values.
        """
        values: dict[str, Any] = {}
        for name in options:
            if name not in self.options:
                raise unknown_option(self, name)
        for name, option in self.options.items():
            value = options.get(name, option.default)
            if value is inspect.Parameter.empty:
                raise InputError(
                    f"{self.name} needs {name} (for tensor {stack.name!r})",
                    f"give it, e.g. --{name} 0.5",
                )
            if option.per_model:
                is_list = isinstance(value, tuple | list) and value is not option.default
                value = value if is_list else tuple(np.atleast_1d(value)) * stack.num_models
                if len(value) != stack.num_models:
                    raise InputError(
                        f"{name}: {len(value)} values for {stack.num_models} models",
                        "give one for each",
                    )
                value = tuple(map(float, value))
            for element in value if option.per_model else (value,):
                check_value(f"{self.name}: {name}", element, option.allowed)
            values["lambda_" if name == "lambda" else name] = value
        return self.function(stack, **values)


def operator(
    *,
    base: str = "none",
    min_models: int = 1,
    max_models: int | None = None,
    random: bool = False,
) -> Callable[[Callable[..., Kernel]], Operator]:
    """Turn a function of a stack into an operator; its keyword parameters are the options.

    A parameter's type carries its range, as ``Annotated[float, Range(0, 1)]``.
    """

    def decorate(function: Callable[..., Kernel]) -> Operator:
        hints = typing.get_type_hints(function, include_extras=True)
        helps = _helps(function)
        options: dict[str, Option] = {}
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            hint = hints[parameter.name]
            bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
            per_model = "per model" in getattr(hint, "__metadata__", ())
            kind = float if per_model else str if get_origin(bare) is Literal else bare
            allowed = Annotated[float, range_of(hint) or ANY] if per_model else hint
            name = parameter.name.removesuffix("_")
            text = helps.get(parameter.name, "")
            options[name] = Option(name, per_model, kind, parameter.default, allowed, text)
        name = function.__name__
        return Operator(name, function, base, min_models, max_models, random, options)

    return decorate


def _helps(function: Callable[..., Kernel]) -> dict[str, str]:
    """The section ``Args`` of a docstring: text by parameter."""
    section = (inspect.getdoc(function) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def unknown_option(method: Operator, name: str) -> InputError:
    """The error for an option that a method does not have."""
    hint = did_you_mean(name, list(method.options)) or (
        f"it takes {', '.join(method.options)}" if method.options else "it takes none"
    )
    return InputError(f"{method.name} has no option {name!r}", hint)


def block_buffer(role: str, stack: Stack, start: int, stop: int) -> Floats:
    """A buffer of the thread for a block, with the dtype that the stack computes in."""
    return thread_buffer(role, stop - start, stack.dtype)
