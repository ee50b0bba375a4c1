"""Tensors of a new checkpoint as functions of ranges of elements: copied, averaged, drawn, joined.

A sum is computed in float64 in the order of the models, divided once, and rounded once to the type
of the result. Random numbers are drawn by a tensor's name in chunks of fixed size, so that neither
threads nor the order or size of blocks move a bit.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylect.base import InputError, generator
from polylect.checkpoints import (
    Blocks,
    Bytes,
    TensorFile,
    TensorInfo,
    TensorSpec,
    item_size,
    overflow,
    to_bytes,
    to_floats,
)

Reader = Callable[[int, int], Bytes]
"""The bytes of elements ``start`` to ``stop``; valid until the thread's next call."""
_CHUNK = 1 << 16
_COPIED_BYTES = 1 << 20
_THREAD = threading.local()


@dataclass(frozen=True)
class Piece:
    """One tensor of the result.

    Attributes:
        spec: name, type and shape.
        open: makes its reader; called when its turn comes, so that few files are open at a time.
        step: elements of a block; blocks begin at multiples of it.
    """

    spec: TensorSpec
    open: Callable[[], Reader]
    step: int = _CHUNK

    def blocks(self) -> Blocks:
        """How its bytes are computed."""
        return Blocks(self.spec, self.open(), self.step, self.step)


def copied(name: str, info: TensorInfo, first: int = 0, last: int | None = None) -> Piece:
    """A tensor as it is, or its rows ``first`` to ``last``."""
    stop = info.shape[0] if last is None and info.shape else last
    shape = (stop - first, *info.shape[1:]) if info.shape and stop is not None else info.shape
    row = info.num_elements // info.shape[0] if info.shape and info.shape[0] else 1
    spec = TensorSpec(name, info.dtype, shape)
    step = max(1, _COPIED_BYTES // item_size(info.dtype))
    return Piece(spec, lambda: _file_reader(info, first * row), step)


def averaged(
    name: str, parts: Sequence[tuple[str, TensorInfo, float]], divisor: float = 1.0
) -> Piece:
    """Σ weight · tensor / divisor, of tensors of one shape and type.

    Args:
        name: of the result.
        parts: label for errors, tensor and weight of each, in order.
        divisor: of the sum.
    """
    info = parts[0][1]
    spec = TensorSpec(name, info.dtype, info.shape)

    def open_all() -> Reader:
        files = [(label, TensorFile(part), weight) for label, part, weight in parts]
        return lambda start, stop: _mean(spec, files, divisor, start, stop)

    return Piece(spec, open_all)


def common(name: str, parts: Sequence[tuple[str, TensorInfo]]) -> Piece:
    """A buffer that several models have alike: compared, and copied.

    Args:
        name: of the tensor.
        parts: label for errors and tensor of each.
    """
    info = parts[0][1]
    spec = TensorSpec(name, info.dtype, info.shape)

    def open_all() -> Reader:
        files = [(label, TensorFile(part)) for label, part in parts]

        def read(start: int, stop: int) -> Bytes:
            raw = files[0][1].read(start, stop)
            for label, file in files[1:]:
                if (file.read(start, stop) != raw).any():
                    raise InputError(
                        f"{label}: tensor {name!r} differs from that of {files[0][0]}, and it is a"
                        " buffer, not a weight",
                        "give experts that were trained from the seed",
                    )
            return raw

        return read

    return Piece(spec, open_all)


def scaled(name: str, label: str, info: TensorInfo, factor: float) -> Piece:
    """A tensor times a number."""
    return averaged(name, [(label, info, factor)])


def drawn(name: str, dtype: str, shape: Sequence[int], std: float, seed: int, *key: str) -> Piece:
    """Normal numbers of mean 0 from a seed and the tensor's name (numpy's Philox).

    Args:
        name: of the tensor.
        dtype: of the result; drawn in float64 and rounded once.
        shape: of the tensor.
        std: standard deviation.
        seed: of the run.
        key: what else tells this draw from others of the same name.
    """

    def read(start: int, stop: int) -> Bytes:
        first, last = start // _CHUNK, -(-stop // _CHUNK)
        chunks = [
            generator(seed, "router", name, *key, chunk).standard_normal(_CHUNK)
            for chunk in range(first, last)
        ]
        values = np.concatenate(chunks) if chunks else np.empty(0)
        return to_bytes(values[start - first * _CHUNK : stop - first * _CHUNK] * std, dtype)

    return Piece(TensorSpec(name, dtype, tuple(shape)), lambda: read)


def given(name: str, dtype: str, values: np.ndarray) -> Piece:
    """A tensor of an array in memory, rounded once."""
    raw = to_bytes(np.ascontiguousarray(values).reshape(-1), dtype)
    size = item_size(dtype)
    spec = TensorSpec(name, dtype, values.shape)
    return Piece(spec, lambda: lambda start, stop: raw[start * size : stop * size])


def joined(name: str, parts: Sequence[Piece]) -> Piece:
    """The rows of several tensors of one type, one below the other."""
    first = parts[0].spec
    rows = sum(part.spec.shape[0] for part in parts)
    spec = TensorSpec(name, first.dtype, (rows, *first.shape[1:]))
    ends = np.cumsum([part.spec.num_elements for part in parts]).tolist()

    def open_all() -> Reader:
        readers = [part.open() for part in parts]

        def read(start: int, stop: int) -> Bytes:
            pieces = []
            for reader, end, part in zip(readers, ends, parts, strict=True):
                begin = end - part.spec.num_elements
                low, high = max(start, begin), min(stop, end)
                if low < high:
                    pieces.append(reader(low - begin, high - begin).copy())
            return np.concatenate(pieces) if pieces else np.empty(0, np.uint8)

        return read

    return Piece(spec, open_all)


def _mean(
    spec: TensorSpec,
    files: Sequence[tuple[str, TensorFile, float]],
    divisor: float,
    start: int,
    stop: int,
) -> Bytes:
    num = stop - start
    total, values = _buffer("total", num, np.float64), _buffer("values", num, np.float64)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for number, (_, file, weight) in enumerate(files):
            raw = file.read(start, stop, out=_buffer("raw", num * item_size(spec.dtype), np.uint8))
            into = total if number == 0 else values
            to_floats(raw, spec.dtype, out=into)
            if weight != 1:
                into *= weight
            if number:
                total += values
        if divisor != 1:
            total /= divisor
        largest = float(np.abs(total, out=values).max(initial=0.0))
    if not largest < overflow(spec.dtype):
        raise _bad_element(spec, files, total, start)
    return to_bytes(total, spec.dtype, finite=True)


def _bad_element(
    spec: TensorSpec, files: Sequence[tuple[str, TensorFile, float]], total: np.ndarray, start: int
) -> InputError:
    for label, file, _ in files:
        values = np.empty(total.size, np.float64)
        to_floats(file.read(start, start + total.size), spec.dtype, out=values)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            place = np.unravel_index(start + int(bad[0]), spec.shape) if spec.shape else ()
            return InputError(
                f"{label}: tensor {file.info.name!r}, element {[int(i) for i in place]} is"
                f" {values[bad[0]]}",
                "a model that broke in training is no expert: leave it out",
            )
    index = int(np.flatnonzero(~(np.abs(total) < overflow(spec.dtype)))[0])
    place = [int(i) for i in np.unravel_index(start + index, spec.shape)] if spec.shape else []
    return InputError(
        f"tensor {spec.name!r}, element {place} is too large for {spec.dtype} ({total[index]:g})",
        "write a wider type first: polylect merge DIR --out-dtype F32 --out WIDE",
    )


def _file_reader(info: TensorInfo, offset: int) -> Reader:
    file, size = TensorFile(info), item_size(info.dtype)

    def read(start: int, stop: int) -> Bytes:
        out = _buffer("copied", (stop - start) * size, np.uint8)
        return file.read(offset + start, offset + stop, out=out)

    return read


def _buffer(role: str, num: int, dtype: Any) -> np.ndarray:
    """An uninitialized array that this thread uses again: new ones would be new pages."""
    buffers: dict[str, np.ndarray] = _THREAD.__dict__.setdefault("buffers", {})
    buffer = buffers.get(role)
    if buffer is None or buffer.size < num:
        buffer = buffers[role] = np.empty(num, dtype)
    return buffer[:num]
