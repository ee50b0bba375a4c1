"""Weighted sums of BF16 tensors, two elements in a word: fewer passes over memory, the same bits.

A word of 32 bits holds two neighbors of a BF16 tensor. Shifted left by 16 bits it is the first of
them as a float32, with its lower half cleared it is the second. So a block is taken apart into its
even and its odd elements, summed, rounded and put together again; what an element goes through is
what ``add_product`` and ``to_bytes`` do with it.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from polylect.checkpoints import Bytes, Floats, TensorFile, overflow
from polylect.merging.arithmetic.fma import abs_sum, bound_add_product

Packed = Callable[[int, int], Bytes | None]
"""The bytes of a block, in the thread's buffer; None where the block has to go the ordinary way."""

_LARGEST = overflow("BF16")
_UPPER, _HALF, _ONE = np.uint32(0xFFFF0000), np.uint32(0x7FFF), np.uint32(1)
_SIXTEEN = np.uint32(16)
_KEPT = threading.local()


class _Lane:
    """The arrays of one thread for blocks of one length, and their halves."""

    def __init__(self, num: int) -> None:
        self.num = num
        self.raw = np.empty(2 * num, np.uint8)
        self.words = self.raw.view(np.uint32)
        self.values, self.merged = np.empty((2, num), np.float32)
        bits = self.values.view(np.uint32)
        self.even, self.odd = bits[: num // 2], bits[num // 2 :]
        self.merged_bits = self.merged.view(np.uint32)
        # What was read is no longer needed when the sum is rounded.
        self.rounded = bits
        self.add = bound_add_product(self.values, self.merged)

    def read(self, file: TensorFile, start: int) -> Floats:
        """A block as float32, the even elements first."""
        file.read(start, start + self.num, out=self.raw)
        np.left_shift(self.words, _SIXTEEN, out=self.even)
        np.bitwise_and(self.words, _UPPER, out=self.odd)
        return self.values

    def bytes(self) -> Bytes:
        """The sum, rounded to nearest even, in the elements' order."""
        rounded = self.rounded
        np.right_shift(self.merged_bits, _SIXTEEN, out=rounded)
        np.bitwise_and(rounded, _ONE, out=rounded)
        np.add(rounded, _HALF, out=rounded)
        np.add(rounded, self.merged_bits, out=rounded)
        np.right_shift(self.even, _SIXTEEN, out=self.even)
        np.bitwise_and(self.odd, _UPPER, out=self.odd)
        np.bitwise_or(self.even, self.odd, out=self.words)
        return self.raw


def _lane(num: int) -> _Lane:
    kept: _Lane | None = getattr(_KEPT, "lane", None)
    if kept is None or kept.num != num:
        kept = _KEPT.lane = _Lane(num)
    return kept


def weighted_halves(
    files: Sequence[TensorFile] | None,
    shares: Sequence[float] | Floats,
    *,
    divisor: float = 1.0,
    from_zero: bool,
) -> Packed | None:
    """What makes the bytes of a weighted sum of BF16 tensors; None where a tensor is another type.

    It leaves to the ordinary way: blocks of an odd number of elements, and those that hold NaN,
    infinity or what BF16 cannot, so that there is one place that names them.

    Args:
        files: one for each share; None where they are not all files of BF16.
        shares: in the order of the sum.
        divisor: of the sum.
        from_zero: whether the sum begins with zero, or with the first product; zeros keep their
            sign only in the second.
    """
    if files is None or any(one.info.dtype != "BF16" for one in files):
        return None
    pairs = list(zip(files, (float(np.float32(one)) for one in shares), strict=True))
    divided = np.float32(divisor)

    def block(start: int, stop: int) -> Bytes | None:
        if (stop - start) % 2 or stop == start:
            return None
        lane = _lane(stop - start)
        merged, empty = lane.merged, True
        if from_zero:
            merged[...] = 0
            empty = False
        for file, share in pairs:
            values = lane.read(file, start)
            if share == 0:
                if not abs_sum(values) < np.inf:
                    return None
                if from_zero:
                    values *= np.float32(0)
                    merged += values
            elif empty:
                np.multiply(values, np.float32(share), out=merged)
                empty = False
            else:
                lane.add(share)
        if empty:
            merged[...] = 0
        if divided != 1:
            merged /= divided
        return lane.bytes() if abs_sum(merged) < _LARGEST else None

    return block
