"""Block by block over the tensors of several checkpoints: memory does not grow with the model."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from polylect.base import InputError
from polylect.checkpoints import (
    FLOAT_DTYPES,
    Bytes,
    Checkpoint,
    Floats,
    ShardWriter,
    TensorSpec,
    overflow,
    read_floats,
    read_raw,
    to_bytes,
)


class Block(NamedTuple):
    """Consecutive elements of one tensor of the output."""

    spec: TensorSpec
    start: int
    stop: int


Operator = Callable[[Block], Floats]
"""The merged elements of a block of floats, in the type they were computed in."""


def cut(specs: Sequence[TensorSpec], block_bytes: int) -> Iterator[Block]:
    """All elements of all tensors in order, at most ``block_bytes`` of accumulators each."""
    for spec in specs:
        num = math.prod(spec.shape)
        step = max(1, block_bytes // accumulator(spec.dtype).itemsize)
        for start in range(0, num, step):
            yield Block(spec, start, min(start + step, num))


def accumulator(dtype: str) -> np.dtype:
    """The type sums are kept in: float32 for a result of 16 bits, else float64.

    A float32 sum written as float32 would carry a rounding for every model; this way what counts is
    the one at the end. (F64 has nothing wider that every machine knows.)
    """
    return np.dtype(np.float64 if dtype in {"F64", "F32"} else np.float32)


def merge_blocks(
    models: Mapping[str, Checkpoint],
    blocks: Iterable[Block],
    operator: Operator,
    writer: ShardWriter,
    *,
    num_threads: int,
) -> None:
    """Merge every block and write it; tensors that are not floats are compared and copied.

    Every block is computed on its own, so the bytes do not depend on the number of threads. Nor
    does the error: it is that of the first bad block, and a bad block names its first bad element.

    Args:
        models: checkpoints by label, which agree.
        blocks: what ``cut`` gave.
        operator: merges a block of floats; called from several threads at once.
        writer: takes the bytes.
        num_threads: how many blocks are worked on at once.

    Raises:
        InputError: an element is NaN or infinite, a result is too large for its type, or a tensor
            that is not of floats differs between models.
    """

    def one(block: Block) -> None:
        if block.spec.dtype in FLOAT_DTYPES:
            values = operator(block)
            # One pass over the result checks all inputs: NaN and infinity go through every sum.
            largest = max(values.max(), -values.min())
            if not largest < overflow(block.spec.dtype):
                raise _bad_block(models, block, values)
            raw = to_bytes(values, block.spec.dtype)
        else:
            raw = _common_bytes(models, block)
        writer.write(block.spec.name, block.start, raw)

    with ThreadPoolExecutor(num_threads) as threads:
        # Results are taken in order, which makes the first error the first bad block, and only a
        # few blocks wait at a time: a large model has too many of them to hand over at once.
        waiting: deque[Future[None]] = deque()
        for block in blocks:
            waiting.append(threads.submit(one, block))
            if len(waiting) > 4 * num_threads:
                waiting.popleft().result()
        for future in waiting:
            future.result()


def _bad_block(models: Mapping[str, Checkpoint], block: Block, values: Floats) -> InputError:
    """Names the first element of the block that is not finite in a model, else in the result."""
    spec, start, stop = block
    firsts: list[tuple[int, str, float]] = []
    for label, model in models.items():
        wide = np.empty(stop - start, np.float64)
        read_floats(model.tensors[spec.name], start, stop, out=wide)
        bad = np.flatnonzero(~np.isfinite(wide))
        if bad.size:
            firsts.append((int(bad[0]), label, float(wide[bad[0]])))
    if firsts:
        index, label, value = min(firsts, key=lambda one: one[0])
        return InputError(
            f"{label}: tensor {spec.name!r}, element {_place(spec, start + index)} is {value}",
            "a model that broke in training cannot be merged: leave it out",
        )
    index = int(np.flatnonzero(~(np.abs(values) < overflow(spec.dtype)))[0])
    return InputError(
        f"merged tensor {spec.name!r}, element {_place(spec, start + index)} is too large "
        f"for {spec.dtype} ({values[index]:g})",
        "use smaller weights, or write a wider type, e.g. out_dtype='F32'",
    )


def _common_bytes(models: Mapping[str, Checkpoint], block: Block) -> Bytes:
    """The bytes of a block that is the same in all models."""
    spec, start, stop = block
    (first, model), *others = models.items()
    raw = read_raw(model.tensors[spec.name], start, stop)
    for label, other in others:
        differs = raw != read_raw(other.tensors[spec.name], start, stop)
        if differs.any():
            element = start + int(np.argmax(differs)) * (stop - start) // raw.size
            raise InputError(
                f"{label}: tensor {spec.name!r} ({spec.dtype}) differs from {first} "
                f"at element {_place(spec, element)}, and only floats can be merged",
                "merge the checkpoints before they are quantised",
            )
    return raw


def _place(spec: TensorSpec, index: int) -> list[int]:
    """The index of an element along every dimension; empty for a scalar."""
    return [int(one) for one in np.unravel_index(index, spec.shape)] if spec.shape else []
