"""The element types of safetensors: bytes to floats and back, rounded to nearest even."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

# In safetensors' order of rank: a file holds the last of these first, so that every tensor begins
# at a multiple of its element size. BF16 and the F8 types are held as bit patterns.
_STORAGE = {
    "BOOL": "|u1",
    "U8": "|u1",
    "I8": "|i1",
    "F8_E5M2": "|u1",
    "F8_E4M3": "|u1",
    "F8_E8M0": "|u1",
    "F8_E4M3FNUZ": "|u1",
    "F8_E5M2FNUZ": "|u1",
    "I16": "<i2",
    "F16": "<f2",
    "BF16": "<u2",
    "I32": "<i4",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
}

DTYPES = tuple(_STORAGE)
"""Names of the readable element types, in safetensors' order of rank."""

FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
"""The types that are computed with; F8 tensors need their scales and are only copied."""

TORCH_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "F32": "float32",
    "F64": "float64",
    "I64": "int64",
}
"""torch's names of the types, which are also those in config.json and in mergekit's recipes."""

DTYPE_OF_TORCH_NAME = {name: dtype for dtype, name in TORCH_NAMES.items()}

# The smallest magnitude that rounds to infinity: the largest finite value and half a step.
_OVERFLOW = {
    "F64": float("inf"),
    "F32": 2.0**128 - 2.0**103,
    "F16": 65520.0,
    "BF16": 2.0**128 - 2.0**119,
}


def item_size(dtype: str) -> int:
    """Bytes of one element.

    >>> item_size("BF16")
    2
    """
    return np.dtype(_STORAGE[dtype]).itemsize


def overflow(dtype: str) -> float:
    """The smallest magnitude that a float type rounds to infinity."""
    return _OVERFLOW[dtype]


def to_floats(raw: Bytes, dtype: str, *, out: Floats | None = None) -> Floats:
    """The elements as float32, or with the dtype of ``out``; shape (number of elements,).

    Exact for F16, BF16, F32, BOOL and integers of up to 16 bits; F64, I32 and I64 are rounded to
    the nearest float32 (ties to even). NaN stays NaN.

    Args:
        raw: little-endian bytes of whole elements.
        dtype: a name in ``DTYPES``, not an F8 type (meaningless without scales).
        out: a float32 or float64 array of as many elements, filled and returned.
    """
    assert not dtype.startswith("F8"), f"{dtype} can be read as raw bytes only"
    stored = raw.view(_STORAGE[dtype])
    values = np.empty(stored.size, np.float32) if out is None else out
    if dtype == "BF16" and values.dtype == np.float32:
        bits = values.view(np.uint32)
        bits[...] = stored
        bits <<= np.uint32(16)
    elif dtype == "BF16":
        values[...] = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            values[...] = stored
    return values


def to_bytes(
    values: Floats, dtype: str, *, finite: bool = False, scratch: Bytes | None = None
) -> Bytes:
    """The elements as little-endian bytes of ``dtype``, rounded once to nearest, ties to even.

    NaN stays NaN (its payload may change); what is too large for a float type becomes infinite.
    Integers are rounded and must fit; BOOL is true for everything but zero.

    Args:
        values: float32 or float64, shape (number of elements,).
        dtype: a name in ``DTYPES``, not an F8 type.
        finite: the caller guarantees that there is no NaN, which saves a check.
        scratch: six bytes per element, used to compute and return a BF16 result.
    """
    assert not dtype.startswith("F8"), f"{dtype} can be copied as raw bytes only"
    if dtype == "BF16":
        return _round_to_bf16(values, finite, scratch).view(np.uint8)
    if dtype == "BOOL":
        return (values != 0).view(np.uint8)
    storage = np.dtype(_STORAGE[dtype])
    if storage.kind == "f":
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.ascontiguousarray(values.astype(storage)).view(np.uint8)
    rounded = np.rint(values)
    low, high = float(np.iinfo(storage).min), float(np.iinfo(storage).max) + 1.0
    if dtype != "I64":  # the largest int64 plus one is what its maximum is as a float already
        high = float(np.iinfo(storage).max + 1)
    assert bool(((rounded >= low) & (rounded < high)).all()), f"a value does not fit {dtype}"
    return rounded.astype(storage).view(np.uint8)


def _round_to_odd(values: Floats) -> Floats:
    """float64 as float32 rounded to odd, so that rounding again gives the correctly rounded result.

    Source: Boldo and Melquiond 2008. Below float32's normal range the cast may round, which makes
    no difference to types with a narrower fraction and the same exponent.
    """
    cut = np.int64(2**29 - 1)  # the fraction bits of a float64 beyond those of a float32
    bits = np.ascontiguousarray(values).view(np.int64)
    odd = bits & cut
    odd += cut
    odd |= bits
    odd &= ~cut
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return odd.view(np.float64).astype(np.float32)


def _round_to_bf16(values: Floats, finite: bool, scratch: Bytes | None) -> NDArray[np.uint16]:
    if values.dtype == np.float64:
        values = _round_to_odd(values)
    bits = np.ascontiguousarray(values).view(np.uint32)
    # Adding just under half a step, and one more where the kept part is odd, carries into the kept
    # part exactly when round-to-nearest-even goes up.
    room = np.empty(6 * bits.size, np.uint8) if scratch is None else scratch
    rounded = room[: 4 * bits.size].view(np.uint32)
    short = room[4 * bits.size : 6 * bits.size].view("<u2")
    np.right_shift(bits, np.uint32(16), out=rounded)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    short[...] = rounded
    if finite:
        return short
    nan = np.isnan(values)
    if nan.any():
        # The carry could turn a NaN into infinity or zero: truncate and set the quiet bit instead.
        short[nan] = (bits[nan] >> np.uint32(16)) | np.uint32(0x40)
    return short
