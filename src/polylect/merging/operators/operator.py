"""What an operator is: a function of one tensor of every model whose signature is its options."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NewType

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError, did_you_mean
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.bf16 import Packed
from polylect.merging.arithmetic.stack import Stack, buffer, from_arrays

_Marker = NewType("_Marker", str)
PerModel = Annotated[tuple[float, ...], _Marker("per model")]
"""An option with a value for every model but the base."""

ONE: tuple[float, ...] = (1.0,)
"""The default of an option for every model: 1 for each, however many there are."""

Block = Callable[[int, int], Floats]


@dataclass(frozen=True, slots=True)
class Kernel:
    """How the elements of one tensor are made, after its statistics were taken.

    Attributes:
        block: merged elements ``start`` to ``stop``, from any thread; the array is the thread's
            buffer, good until its next call.
        align: blocks begin and end at multiples of this (or at the tensor's end).
        num_buffers: float32 arrays of a block's length that a call holds.
        counts: for the ledger: event to number.
        packed: the bytes of a BF16 result, by a shorter way; None where there is none.
    """

    block: Block
    align: int = 1
    num_buffers: int = 3
    counts: Mapping[str, int] = field(default_factory=dict)
    packed: Packed | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an operator.

    Attributes:
        name: as it is written in recipes; ``lambda_`` is ``lambda`` there.
        per_model: a value for every model but the base, or one for all.
        kind: float or bool.
        default: ``inspect.Parameter.empty`` where it must be given.
    """

    name: str
    per_model: bool
    kind: type
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Operator:
    """A merge method.

    Attributes:
        name: as in ``--method`` and in recipes.
        function: from a stack and its options to a kernel.
        base: whether it takes a base: ``required``, ``optional`` or ``none``.
        min_models: fewest models, without the base.
        max_models: most models, without the base; None for any number.
        random: whether it draws random numbers.
        options: by the name that recipes use.
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
        """The merged array, float32 (float64 for float64 arrays), of arrays of one shape.

        Args:
            models: arrays of one shape.
            base: what they were trained from, for the operators that need it.
            name: of the tensor; keys the random numbers, as do the labels.
            labels: of the models; ``0``, ``1``, … by default.
            parity: see ``Stack``.
            options: see the operator's function; a single number stands for all models.
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
        """The kernel for a tensor; takes its statistics, which may read all of it.

        Raises:
            InputError: an option is unknown, missing, or has the wrong number of values.
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
                    f"give it, e.g. --set {name}=0.5",
                )
            if option.per_model:
                many = isinstance(value, tuple | list) and value is not option.default
                value = value if many else tuple(np.atleast_1d(value)) * stack.num_models
                if len(value) != stack.num_models:
                    raise InputError(
                        f"{name}: {len(value)} values for {stack.num_models} models",
                        "give one for each",
                    )
                value = tuple(float(one) for one in value)
            values["lambda_" if name == "lambda" else name] = value
        return self.function(stack, **values)


def operator(
    *,
    base: str = "none",
    min_models: int = 1,
    max_models: int | None = None,
    random: bool = False,
) -> Callable[[Callable[..., Kernel]], Operator]:
    """Makes a function of a stack an operator; its keyword parameters are the options."""

    def decorate(function: Callable[..., Kernel]) -> Operator:
        hints = typing.get_type_hints(function, include_extras=True)
        options: dict[str, Option] = {}
        for one in list(inspect.signature(function).parameters.values())[1:]:
            per_model = hints[one.name] == PerModel
            kind = float if per_model else hints[one.name]
            name = one.name.removesuffix("_")
            options[name] = Option(name, per_model, kind, one.default)
        name = function.__name__
        return Operator(name, function, base, min_models, max_models, random, options)

    return decorate


def unknown_option(one: Operator, name: str) -> InputError:
    """The error for an option that a method does not have."""
    hint = did_you_mean(name, list(one.options)) or (
        f"it takes {', '.join(one.options)}" if one.options else "it takes none"
    )
    return InputError(f"{one.name} has no option {name!r}", hint)


def scratch(role: str, stack: Stack, start: int, stop: int) -> Floats:
    """A buffer of a block's length in the type that the stack computes in."""
    return buffer(role, stop - start, stack.dtype)
