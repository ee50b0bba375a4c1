"""The merged bytes of a tensor, block by block."""

from concurrent.futures import Executor

import numpy as np

from polylect.base import InputError
from polylect.checkpoints import (
    FLOAT_DTYPES,
    Blocks,
    Bytes,
    Floats,
    TensorSpec,
    overflow,
    read_floats,
    read_raw,
    to_bytes,
)
from polylect.merging.arithmetic.fma import abs_sum
from polylect.merging.arithmetic.rounding import round_to
from polylect.merging.arithmetic.stack import (
    block_elements,
    element_index,
    non_finite_error,
    thread_buffer,
)
from polylect.merging.operators.operator import Kernel
from polylect.merging.plan import Plan
from polylect.models import is_weight


def tensor_blocks(
    plan: Plan, spec: TensorSpec, workers: Executor | None = None, block_elems: int | None = None
) -> Blocks:
    """How the bytes of a merged tensor are computed; computes the statistics of the tensor.

    Tensors that are not floats, and buffers, are compared and copied.

    Args:
        plan: the merge.
        spec: the tensor.
        workers: threads for the statistics; None computes them here.
        block_elems: elements of a block; default: as many as fit into a core's cache.

    Raises:
        InputError: an element is NaN or infinite, a result overflows its dtype, or a tensor that is
            no weight differs between models. Most of these are raised by a block.
    """
    if not is_weight(spec):
        step = block_elems or block_elements(2)
        return Blocks(spec, lambda start, stop: _common_bytes(plan, spec, start, stop), step)
    kernel = plan.kernel(spec, workers)
    return Blocks(
        spec,
        lambda start, stop: _merged_bytes(plan, spec, kernel, start, stop),
        block_elems or block_elements(kernel.num_buffers),
        kernel.align,
        kernel.counts,
    )


def _merged_bytes(plan: Plan, spec: TensorSpec, kernel: Kernel, start: int, stop: int) -> Bytes:
    if kernel.packed is not None and spec.dtype == "BF16":
        raw = kernel.packed(start, stop)
        if raw is not None:
            return raw
    with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
        values = kernel.block(start, stop)
        # One pass over the result checks all inputs: NaN and infinity propagate through every sum.
        # An operator that does not sum reads with ``Stack.values``, which checks each input.
        if not abs_sum(values) < overflow(spec.dtype):
            largest = max(values.max(), -values.min())
            if not largest < overflow(spec.dtype):
                raise _bad_block(plan, spec, start, values)
        if plan.rounded(spec.name) != spec.dtype:
            round_to(values, plan.rounded(spec.name))
    scratch = thread_buffer("rounded", 6 * values.size, np.uint8)
    return to_bytes(values, spec.dtype, finite=True, scratch=scratch)


def _bad_block(plan: Plan, spec: TensorSpec, start: int, values: Floats) -> InputError:
    """The error for the first element that is not finite in a model, else in the result."""
    bad_inputs: list[tuple[int, str, float]] = []
    for label, model in plan.models.items():
        wide = np.empty(values.size, np.float64)
        read_floats(model.tensors[spec.name], start, start + values.size, out=wide)
        bad = np.flatnonzero(~np.isfinite(wide))
        if bad.size:
            bad_inputs.append((int(bad[0]), label, float(wide[bad[0]])))
    if bad_inputs:
        index, label, value = min(bad_inputs, key=lambda bad: bad[0])
        return non_finite_error(label, spec.name, spec.shape, start + index, value)
    index = int(np.flatnonzero(~(np.abs(values) < overflow(spec.dtype)))[0])
    return InputError(
        f"merged tensor {spec.name!r}, element {element_index(spec.shape, start + index)} is too "
        f"large for {spec.dtype} ({values[index]:g})",
        "use smaller weights, or write a wider type: --out-dtype F32",
    )


def _common_bytes(plan: Plan, spec: TensorSpec, start: int, stop: int) -> Bytes:
    """The bytes of a block that is the same in all models."""
    reason = "only floats can be merged"
    hint = "merge the checkpoints before they are quantized"
    if spec.dtype in FLOAT_DTYPES:
        reason, hint = "it is a buffer, not a weight", "merge models that compute alike"
    (first, model), *others = plan.models.items()
    raw = read_raw(model.tensors[spec.name], start, stop)
    for label, other in others:
        differs = raw != read_raw(other.tensors[spec.name], start, stop)
        if differs.any():
            index = start + int(np.argmax(differs)) * (stop - start) // raw.size
            raise InputError(
                f"{label}: tensor {spec.name!r} ({spec.dtype}) differs from {first} at element "
                f"{element_index(spec.shape, index)}, and {reason}",
                hint,
            )
    return raw
