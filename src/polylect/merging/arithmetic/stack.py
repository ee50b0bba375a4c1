"""One tensor of every model, read block by block: what an operator is given."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError
from polylect.checkpoints import Floats, TensorFile, TensorInfo, item_size, to_floats
from polylect.merging.arithmetic.fma import abs_sum
from polylect.merging.arithmetic.rounding import round_to

T = TypeVar("T")

STATISTICS_ELEMENTS = 2**17

_BUFFERS_BYTES = 6 * 2**20  # of one thread, whatever the number of models
_AHEAD = 8  # blocks whose results wait to be taken
_WORKSPACE = threading.local()


class Reader(Protocol):
    """One tensor of one model."""

    def __call__(self, start: int, stop: int, *, out: Floats) -> Floats:
        """Elements ``start`` to ``stop``, in ``out``."""
        ...


class Workers(Protocol):
    """What an executor does: run a function somewhere, some time."""

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> "Future[T]":
        """The future of the function's result."""
        ...


class Stack:
    """One tensor of every model that is merged; the base, if there is one, stands apart.

    Attributes:
        name: of the tensor.
        shape: of the tensor.
        labels: what the models are called, without the base; they key the random numbers.
        dtype: float32, or float64 where the result is F64: what an operator computes in.
        parity: the type that mergekit would round every step to; None to round once, at the end.
        files: where the tensors lie, the base first; None where they are arrays in memory.
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        models: Sequence[tuple[str, Reader]],
        *,
        base: tuple[str, Reader] | None = None,
        dtype: np.dtype[Any] | type = np.float32,
        parity: str | None = None,
        workers: Workers | None = None,
        files: Sequence[TensorFile] | None = None,
    ) -> None:
        """Holds readers, reads nothing."""
        self.name = name
        self.shape = tuple(shape)
        self.labels = tuple(label for label, _ in models)
        self.dtype = np.dtype(dtype)
        self.parity = parity
        self.files = files
        self._readers = [reader for _, reader in models]
        self._base = base
        self._workers = workers

    @property
    def num_elements(self) -> int:
        """How many elements the tensor has."""
        return math.prod(self.shape)

    @property
    def num_models(self) -> int:
        """How many models are merged, without the base."""
        return len(self._readers)

    @property
    def has_base(self) -> bool:
        """Whether there is a base."""
        return self._base is not None

    @property
    def row(self) -> int:
        """Elements of a row: all dimensions but the first; of a vector, all of it."""
        return max(1, math.prod(self.shape[1:]) if len(self.shape) > 1 else self.num_elements)

    def read(self, model: int, start: int, stop: int, out: Floats) -> Floats:
        """A block of one model, unchecked: NaN and infinity must be found in the result."""
        return self._readers[model](start, stop, out=out)

    def base(self, start: int, stop: int) -> Floats:
        """A block of the base; refuses NaN and infinity. The buffer is used again by the thread."""
        assert self._base is not None, "this operator was given no base"
        label, reader = self._base
        values = reader(start, stop, out=buffer("base", stop - start, self.dtype))
        self._check(label, start, values)
        return values

    def values(self, model: int, start: int, stop: int, out: Floats) -> Floats:
        """A block of one model; refuses NaN and infinity."""
        values = self.read(model, start, stop, out)
        self._check(self.labels[model], start, values)
        return values

    def delta(self, model: int, start: int, stop: int, base: Floats, out: Floats) -> Floats:
        """A block of one model less the base; refuses NaN and infinity."""
        values = self.values(model, start, stop, out)
        values -= base
        return values

    def map(
        self, function: Callable[[int, int], T], step: int = STATISTICS_ELEMENTS
    ) -> Iterator[T]:
        """What a function gives for consecutive blocks of the tensor, in order.

        The blocks depend on the shape and ``step`` alone, so that sums over them do not depend on
        threads: ``step`` is a part of what a statistic means, never an option.
        """
        waiting: deque[Future[T]] = deque()
        for start in range(0, self.num_elements, step):
            stop = min(start + step, self.num_elements)
            if self._workers is None:
                yield function(start, stop)
                continue
            waiting.append(self._workers.submit(function, start, stop))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _check(self, label: str, start: int, values: Floats) -> None:
        if not math.isfinite(abs_sum(values)):
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise broken(label, self.name, self.shape, start + int(bad[0]), values[bad[0]])


def from_tensors(
    name: str,
    models: Sequence[tuple[str, TensorInfo]],
    *,
    base: tuple[str, TensorInfo] | None = None,
    dtype: np.dtype[Any] | type = np.float32,
    parity: str | None = None,
    workers: Workers | None = None,
) -> Stack:
    """The stack of a tensor that lies in files."""
    given = [*([base] if base is not None else []), *models]
    files = [TensorFile(info) for _, info in given]
    readers = [(label, _file_reader(file)) for (label, _), file in zip(given, files, strict=True)]
    return Stack(
        name,
        given[-1][1].shape,
        readers if base is None else readers[1:],
        base=None if base is None else readers[0],
        dtype=dtype,
        parity=parity,
        workers=workers,
        files=files,
    )


def from_arrays(
    models: Sequence[NDArray[Any]],
    *,
    base: NDArray[Any] | None = None,
    name: str = "",
    labels: Sequence[str] | None = None,
    parity: str | None = None,
) -> Stack:
    """The stack of arrays in memory, all of one shape; float64 arrays are merged in float64."""
    labels = labels or [str(number) for number in range(len(models))]
    return Stack(
        name,
        models[0].shape,
        [(label, _array_reader(one)) for label, one in zip(labels, models, strict=True)],
        base=None if base is None else ("base", _array_reader(base)),
        dtype=np.float64 if models[0].dtype == np.float64 else np.float32,
        parity=parity,
    )


def buffer(role: str, num: int, dtype: np.dtype[Any] | type) -> NDArray[Any]:
    """An array that this thread keeps for a role; its contents are whatever was there.

    Fresh arrays of this size would be fresh pages, whose zeroing costs more than the arithmetic.
    """
    kept: dict[tuple[str, Any], NDArray[Any]] = _WORKSPACE.__dict__.setdefault("kept", {})
    key = (role, np.dtype(dtype))
    found = kept.get(key)
    if found is None or found.size < num:
        found = kept[key] = np.empty(-(-num // 8) * 8, dtype)
    return found[:num]


def deltas_of(stack: Stack, start: int, stop: int) -> tuple[Floats, Floats]:
    """The base's block and every model's difference from it; shape (models, elements)."""
    num = stop - start
    base = stack.base(start, stop)
    deltas = buffer("deltas", stack.num_models * num, stack.dtype).reshape(-1, num)
    for model, row in enumerate(deltas):
        stack.delta(model, start, stop, base, row)
        round_to(row, stack.parity)
    return base, deltas


def block_elements(num_buffers: int) -> int:
    """Elements of a block for which a thread holds so many float32 arrays."""
    fitting = _BUFFERS_BYTES // (4 * max(1, num_buffers))
    return max(2**13, min(2**17, 2 ** int(math.log2(fitting))))


def broken(label: str, name: str, shape: Sequence[int], index: int, value: object) -> InputError:
    """The error for an element that is not finite."""
    place = [int(one) for one in np.unravel_index(index, tuple(shape))] if shape else []
    return InputError(
        f"{label}: tensor {name!r}, element {place} is {value}",
        "a model that broke in training cannot be merged: leave it out",
    )


def _file_reader(file: TensorFile) -> Reader:
    info = file.info
    size = item_size(info.dtype)

    def read(start: int, stop: int, *, out: Floats) -> Floats:
        raw = buffer("raw", (stop - start) * size, np.uint8)
        return to_floats(file.read(start, stop, out=raw), info.dtype, out=out)

    return read


def _array_reader(values: NDArray[Any]) -> Reader:
    flat = np.ascontiguousarray(values).reshape(-1)

    def read(start: int, stop: int, *, out: Floats) -> Floats:
        out[...] = flat[start:stop]
        return out

    return read
