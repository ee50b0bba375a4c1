"""Block by block over the tensors of several checkpoints: memory does not grow with the model."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from polylect.base import InputError, one_blas_thread
from polylect.checkpoints import (
    FLOAT_DTYPES,
    Bytes,
    Floats,
    ShardWriter,
    TensorSpec,
    overflow,
    read_floats,
    read_raw,
    to_bytes,
)
from polylect.merging.arithmetic.fma import abs_sum
from polylect.merging.arithmetic.stack import block_elements, broken, buffer
from polylect.merging.journal import Journal
from polylect.merging.operators.operator import Kernel
from polylect.merging.plan import Plan

_SPAN = 8  # blocks of one job: handing over a job costs as much as half a block


def cut(num: int, step: int, align: int = 1) -> Iterator[tuple[int, int]]:
    """All elements in order, about ``step`` at a time, cut at multiples of ``align`` only."""
    step = max(align, step // align * align)
    for start in range(0, num, step):
        yield start, min(start + step, num)


def merge_blocks(
    plan: Plan,
    writer: ShardWriter,
    journal: Journal,
    *,
    num_threads: int,
    block_elems: int | None = None,
) -> None:
    """Merge every block and write it; tensors that are not floats are compared and copied.

    Every block is computed on its own, so the bytes do not depend on the number of threads or the
    size of blocks. Nor does the error depend on threads: it is that of the first bad block.

    Args:
        plan: what to merge.
        writer: takes the bytes.
        journal: knows what was written before, and is told what has been.
        num_threads: how many blocks are worked on at once.
        block_elems: elements of a block; by default what stays in a core's cache.

    Raises:
        InputError: an element is NaN or infinite, a result is too large for its type, or a tensor
            that is not of floats differs between models.
    """
    with one_blas_thread(), ThreadPoolExecutor(num_threads) as threads:
        # Results are taken in order, which makes the first error the first bad block, and only a
        # few blocks wait at a time: a large model has too many of them to hand over at once.
        waiting: deque[tuple[Future[None], str, int]] = deque()

        def settle(most: int) -> None:
            while len(waiting) > most:
                future, name, stop = waiting.popleft()
                future.result()
                journal.note(writer, name, stop)

        try:
            for spec in plan.specs:
                num = math.prod(spec.shape)
                done = journal.resume(spec.name, num)
                writer.skip(spec.name, 0, done)
                if done == num:
                    continue
                is_float = spec.dtype in FLOAT_DTYPES
                kernel = plan.kernel(spec, threads) if is_float else None
                journal.count(spec.name, kernel.counts if kernel else {})
                step = block_elems or block_elements(kernel.num_buffers if kernel else 2)
                align = kernel.align if kernel else 1
                for start, stop in cut(num, step * _SPAN, align):
                    # What was resumed need not have been cut in the same way.
                    if stop <= done:
                        continue
                    job = threads.submit(_span, plan, writer, spec, kernel, start, stop, done, step)
                    waiting.append((job, spec.name, stop))
                    settle(2 * num_threads)
            settle(0)
        finally:
            for future, _, _ in waiting:
                future.cancel()


def merged_bytes(
    plan: Plan, spec: TensorSpec, kernel: Kernel | None, start: int, stop: int
) -> Bytes:
    """The bytes of a block of the result.

    Raises:
        InputError: see ``merge_blocks``.
    """
    if kernel is None:
        return _common_bytes(plan, spec, start, stop)
    if kernel.packed is not None and spec.dtype == "BF16":
        raw = kernel.packed(start, stop)
        if raw is not None:
            return raw
    with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
        values = kernel.block(start, stop)
        # One pass over the result checks all inputs: NaN and infinity go through every sum.
        if not abs_sum(values) < overflow(spec.dtype):
            largest = max(values.max(), -values.min())
            if not largest < overflow(spec.dtype):
                raise _bad_block(plan, spec, start, values)
    scratch = buffer("rounded", 6 * values.size, np.uint8)
    return to_bytes(values, spec.dtype, finite=True, scratch=scratch)


def _span(
    plan: Plan,
    writer: ShardWriter,
    spec: TensorSpec,
    kernel: Kernel | None,
    first: int,
    last: int,
    done: int,
    step: int,
) -> None:
    """Merge and write the blocks of a span of elements, but for those before ``done``."""
    for start, stop in cut(last - first, step, kernel.align if kernel else 1):
        if first + stop > done:
            raw = merged_bytes(plan, spec, kernel, first + start, first + stop)
            before = max(0, done - first - start)
            skipped = before * raw.size // (stop - start)
            writer.write(spec.name, first + start + before, raw[skipped:])


def _bad_block(plan: Plan, spec: TensorSpec, start: int, values: Floats) -> InputError:
    """Names the first element of the block that is not finite in a model, else in the result."""
    firsts: list[tuple[int, str, float]] = []
    for label, model in plan.models.items():
        wide = np.empty(values.size, np.float64)
        read_floats(model.tensors[spec.name], start, start + values.size, out=wide)
        bad = np.flatnonzero(~np.isfinite(wide))
        if bad.size:
            firsts.append((int(bad[0]), label, float(wide[bad[0]])))
    if firsts:
        index, label, value = min(firsts, key=lambda one: one[0])
        return broken(label, spec.name, spec.shape, start + index, value)
    index = int(np.flatnonzero(~(np.abs(values) < overflow(spec.dtype)))[0])
    return InputError(
        f"merged tensor {spec.name!r}, element {_place(spec, start + index)} is too large "
        f"for {spec.dtype} ({values[index]:g})",
        "use smaller weights, or write a wider type, e.g. out_dtype='F32'",
    )


def _common_bytes(plan: Plan, spec: TensorSpec, start: int, stop: int) -> Bytes:
    """The bytes of a block that is the same in all models."""
    (first, model), *others = plan.models.items()
    raw = read_raw(model.tensors[spec.name], start, stop)
    for label, other in others:
        differs = raw != read_raw(other.tensors[spec.name], start, stop)
        if differs.any():
            element = start + int(np.argmax(differs)) * (stop - start) // raw.size
            raise InputError(
                f"{label}: tensor {spec.name!r} ({spec.dtype}) differs from {first} "
                f"at element {_place(spec, element)}, and only floats can be merged",
                "merge the checkpoints before they are quantized",
            )
    return raw


def _place(spec: TensorSpec, index: int) -> list[int]:
    """The index of an element along every dimension; empty for a scalar."""
    return [int(one) for one in np.unravel_index(index, spec.shape)] if spec.shape else []
