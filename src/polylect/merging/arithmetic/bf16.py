"""Weighted sums of BF16 tensors, two elements per word: fewer passes over memory, the same bits.

A 32-bit word holds two neighbors of a BF16 tensor. Shifted left by 16 bits it is the first as a
float32; with its lower half cleared it is the second. So a block is split into its even and odd
elements, summed, rounded and interleaved again; each element gets the same operations as in
``fused_axpy`` and ``to_bytes``.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from polylect.checkpoints import Bytes, Floats, TensorFile, overflow
from polylect.merging.arithmetic.fma import abs_sum, bound_axpy

PackedSum = Callable[[int, int], Bytes | None]
"""The bytes of a block, in the thread's buffer; None where the general path has to compute it."""

_LARGEST = overflow("BF16")
_UPPER, _HALF, _ONE = np.uint32(0xFFFF0000), np.uint32(0x7FFF), np.uint32(1)
_SIXTEEN = np.uint32(16)
_THREAD = threading.local()


class _Workspace:
    """Arrays of one thread for blocks of one length."""

    def __init__(self, num: int) -> None:
        self.num = num
        self.raw = np.empty(2 * num, np.uint8)
        self.words = self.raw.view(np.uint32)
        self.values, self.merged = np.empty((2, num), np.float32)
        bits = self.values.view(np.uint32)
        self.even, self.odd = bits[: num // 2], bits[num // 2 :]
        self.merged_bits = self.merged.view(np.uint32)
        # The values that were read are no longer needed when the sum is rounded.
        self.rounded = bits
        self.axpy = bound_axpy(self.values, self.merged)

    def read(self, file: TensorFile, start: int) -> Floats:
        """A block as float32, even elements first."""
        file.read(start, start + self.num, out=self.raw)
        np.left_shift(self.words, _SIXTEEN, out=self.even)
        np.bitwise_and(self.words, _UPPER, out=self.odd)
        return self.values

    def bytes(self) -> Bytes:
        """The sum rounded to nearest even, in the original order."""
        rounded = self.rounded
        np.right_shift(self.merged_bits, _SIXTEEN, out=rounded)
        np.bitwise_and(rounded, _ONE, out=rounded)
        np.add(rounded, _HALF, out=rounded)
        np.add(rounded, self.merged_bits, out=rounded)
        np.right_shift(self.even, _SIXTEEN, out=self.even)
        np.bitwise_and(self.odd, _UPPER, out=self.odd)
        np.bitwise_or(self.even, self.odd, out=self.words)
        return self.raw


def _workspace(num: int) -> _Workspace:
    workspace: _Workspace | None = getattr(_THREAD, "workspace", None)
    if workspace is None or workspace.num != num:
        workspace = _THREAD.workspace = _Workspace(num)
    return workspace


def packed_sum(
    files: Sequence[TensorFile] | None,
    weights: Sequence[float] | Floats,
    *,
    divisor: float = 1.0,
    from_zero: bool,
) -> PackedSum | None:
    """A function that computes blocks of a weighted sum of BF16 tensors; None for other types.

    It returns None for blocks of an odd length and for those with NaN, infinity or an overflow, so
    that only the general path reports them.

    Args:
        files: one for each weight; None if the tensors are not in files.
        weights: in the order of the sum.
        divisor: of the sum.
        from_zero: whether the sum starts from zero or from the first product; only the latter keeps
            the sign of zeros.
    """
    if files is None or any(file.info.dtype != "BF16" for file in files):
        return None
    terms = list(zip(files, (float(np.float32(weight)) for weight in weights), strict=True))
    divide_by = np.float32(divisor)

    def block(start: int, stop: int) -> Bytes | None:
        if (stop - start) % 2 or stop == start:
            return None
        workspace = _workspace(stop - start)
        merged, empty = workspace.merged, True
        if from_zero:
            merged[...] = 0
            empty = False
        for file, weight in terms:
            values = workspace.read(file, start)
            if weight == 0:
                if not abs_sum(values) < np.inf:
                    return None
                if from_zero:
                    values *= np.float32(0)
                    merged += values
            elif empty:
                np.multiply(values, np.float32(weight), out=merged)
                empty = False
            else:
                workspace.axpy(weight)
        if empty:
            merged[...] = 0
        if divide_by != 1:
            merged /= divide_by
        return workspace.bytes() if abs_sum(merged) < _LARGEST else None

    return block
