"""One tensor of every model, read block by block: the input of an operator."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from polylect.base import InputError, digest_bytes
from polylect.checkpoints import Floats, TensorFile, TensorInfo, item_size, to_floats
from polylect.merging.arithmetic.fma import abs_sum
from polylect.merging.arithmetic.rounding import round_to

T = TypeVar("T")

_STATISTICS_ELEMENTS = 2**17
_BUFFERS_BYTES = 6 * 2**20  # of one thread, whatever the number of models
_MAX_WAITING = 8  # blocks computed ahead
_THREAD = threading.local()


class Reader(Protocol):
    """Reads one tensor of one model."""

    def __call__(self, start: int, stop: int, *, out: Floats) -> Floats:
        """Elements ``start`` to ``stop``, written to ``out``."""
        ...


class Stack:
    """One tensor of every model that is merged, and of the base if there is one.

    Attributes:
        name: name of the tensor.
        shape: shape of the tensor.
        labels: labels of the models, without the base; for errors only.
        dtype: what an operator computes in: float32, or float64 for an F64 result.
        parity: type that every step is rounded to, as in mergekit; None rounds once, at the end.
        files: files of the tensors, the base first; None for arrays in memory.
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
        workers: Executor | None = None,
        files: Sequence[TensorFile] | None = None,
        digests: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Store the readers; reads nothing.

        Args:
            name: see the attributes, as for the others.
            shape: of the tensor.
            models: label and reader of each.
            base: label and reader of the base.
            dtype: what is computed in.
            parity: what is rounded to.
            workers: threads for statistics.
            files: of the tensors.
            digests: digests of the models' tensors, in order; called when random numbers are drawn.
        """
        self.name = name
        self.shape = tuple(shape)
        self.labels = tuple(label for label, _ in models)
        self.dtype = np.dtype(dtype)
        self.parity = parity
        self.files = files
        self._readers = [reader for _, reader in models]
        self._base = base
        self._workers = workers
        self._digests = digests

    @cached_property
    def _identities(self) -> list[str]:
        assert self._digests is not None, "this operator was given no digests"
        digests = list(self._digests())
        return [f"{digest}#{digests[:model].count(digest)}" for model, digest in enumerate(digests)]

    def identity(self, model: int) -> str:
        """What a model is to the random numbers: the digest of its tensor.

        Equal tensors are told apart by their position among each other.
        """
        return self._identities[model]

    @property
    def num_elements(self) -> int:
        """Number of elements of the tensor."""
        return math.prod(self.shape)

    @property
    def num_models(self) -> int:
        """Number of models that are merged, without the base."""
        return len(self._readers)

    @property
    def has_base(self) -> bool:
        """Whether there is a base."""
        return self._base is not None

    @property
    def row_elements(self) -> int:
        """Elements of a row (all dimensions but the first); a vector is one row."""
        return max(1, math.prod(self.shape[1:]) if len(self.shape) > 1 else self.num_elements)

    def read(self, model: int, start: int, stop: int, out: Floats) -> Floats:
        """A block of one model, unchecked: the caller checks the result for NaN and infinity."""
        return self._readers[model](start, stop, out=out)

    def base(self, start: int, stop: int) -> Floats:
        """A block of the base, in a buffer of the thread; refuses NaN and infinity."""
        assert self._base is not None, "this operator was given no base"
        label, reader = self._base
        values = reader(start, stop, out=thread_buffer("base", stop - start, self.dtype))
        self._check(label, start, values)
        return values

    def values(self, model: int, start: int, stop: int, out: Floats) -> Floats:
        """A block of one model; refuses NaN and infinity."""
        values = self.read(model, start, stop, out)
        self._check(self.labels[model], start, values)
        return values

    def delta(self, model: int, start: int, stop: int, base: Floats, out: Floats) -> Floats:
        """A block of one model minus the base; refuses NaN and infinity."""
        values = self.values(model, start, stop, out)
        values -= base
        return values

    def map(
        self, function: Callable[[int, int], T], step: int = _STATISTICS_ELEMENTS
    ) -> Iterator[T]:
        """Results of a function of consecutive blocks of the tensor, in order.

        The blocks depend only on the shape and ``step``, so that sums over them do not depend on
        threads: ``step`` is part of the definition of a statistic, never an option.
        """
        waiting: deque[Future[T]] = deque()
        for start in range(0, self.num_elements, step):
            stop = min(start + step, self.num_elements)
            if self._workers is None:
                yield function(start, stop)
                continue
            waiting.append(self._workers.submit(function, start, stop))
            if len(waiting) > _MAX_WAITING:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _check(self, label: str, start: int, values: Floats) -> None:
        if not math.isfinite(abs_sum(values)):
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise non_finite_error(
                    label, self.name, self.shape, start + int(bad[0]), values[bad[0]]
                )


def from_tensors(
    name: str,
    models: Sequence[tuple[str, TensorInfo]],
    *,
    base: tuple[str, TensorInfo] | None = None,
    dtype: np.dtype[Any] | type = np.float32,
    parity: str | None = None,
    workers: Executor | None = None,
    digests: Callable[[], Sequence[str]] | None = None,
    rounded: str | None = None,
) -> Stack:
    """The stack of a tensor in checkpoints, rounded to a dtype as it is read if one is given."""
    inputs = [*([base] if base is not None else []), *models]
    files = [TensorFile(info) for _, info in inputs]
    readers = [
        (label, _file_reader(file, rounded)) for (label, _), file in zip(inputs, files, strict=True)
    ]
    is_read_as_it_is = rounded in {None, "F32", "F64"} or all(
        info.dtype == rounded for _, info in inputs
    )
    return Stack(
        name,
        inputs[-1][1].shape,
        readers if base is None else readers[1:],
        base=None if base is None else readers[0],
        dtype=dtype,
        parity=parity,
        workers=workers,
        files=files if is_read_as_it_is else None,
        digests=digests,
    )


def from_arrays(
    models: Sequence[NDArray[Any]],
    *,
    base: NDArray[Any] | None = None,
    name: str = "",
    labels: Sequence[str] | None = None,
    parity: str | None = None,
) -> Stack:
    """The stack of arrays of one shape; float64 arrays are merged in float64."""
    labels = labels or [str(number) for number in range(len(models))]
    return Stack(
        name,
        models[0].shape,
        [(label, _array_reader(array)) for label, array in zip(labels, models, strict=True)],
        base=None if base is None else ("base", _array_reader(base)),
        dtype=np.float64 if models[0].dtype == np.float64 else np.float32,
        parity=parity,
        digests=lambda: [digest_bytes(np.ascontiguousarray(array).tobytes()) for array in models],
    )


def thread_buffer(role: str, num: int, dtype: np.dtype[Any] | type) -> NDArray[Any]:
    """An uninitialized array that this thread reuses for a role.

    New arrays of this size would be new pages, and zeroing those costs more than the arithmetic.
    """
    buffers: dict[tuple[str, Any], NDArray[Any]] = _THREAD.__dict__.setdefault("buffers", {})
    key = (role, np.dtype(dtype))
    buffer = buffers.get(key)
    if buffer is None or buffer.size < num:
        buffer = buffers[key] = np.empty(-(-num // 8) * 8, dtype)
    return buffer[:num]


def read_deltas(stack: Stack, start: int, stop: int) -> tuple[Floats, Floats]:
    """The base's block, and every model's difference from it: float [models, elements]."""
    num = stop - start
    base = stack.base(start, stop)
    deltas = thread_buffer("deltas", stack.num_models * num, stack.dtype).reshape(-1, num)
    for model, row in enumerate(deltas):
        stack.delta(model, start, stop, base, row)
        round_to(row, stack.parity)
    return base, deltas


def block_elements(num_buffers: int) -> int:
    """Elements of a block, so that a thread's ``num_buffers`` float32 arrays stay in its cache."""
    max_elements = _BUFFERS_BYTES // (4 * max(1, num_buffers))
    return max(2**13, min(2**17, 2 ** int(math.log2(max_elements))))


def element_index(shape: Sequence[int], index: int) -> list[int]:
    """Index of a flat element along every dimension; empty for a scalar.

    >>> element_index((2, 3), 4)
    [1, 1]
    """
    return [int(axis) for axis in np.unravel_index(index, tuple(shape))] if shape else []


def non_finite_error(
    label: str, name: str, shape: Sequence[int], index: int, value: object
) -> InputError:
    """The error for an element that is not finite."""
    return InputError(
        f"{label}: tensor {name!r}, element {element_index(shape, index)} is {value}",
        "a model that broke in training cannot be merged: leave it out",
    )


def _file_reader(file: TensorFile, rounded: str | None) -> Reader:
    info = file.info
    size = item_size(info.dtype)

    def read(start: int, stop: int, *, out: Floats) -> Floats:
        raw = thread_buffer("raw", (stop - start) * size, np.uint8)
        values = to_floats(file.read(start, stop, out=raw), info.dtype, out=out)
        return values if info.dtype == rounded else round_to(values, rounded)

    return read


def _array_reader(values: NDArray[Any]) -> Reader:
    flat = np.ascontiguousarray(values).reshape(-1)

    def read(start: int, stop: int, *, out: Floats) -> Floats:
        out[...] = flat[start:stop]
        return out

    return read
