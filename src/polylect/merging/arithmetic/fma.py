"""Axpy with one rounding per element, as a fused multiply-add computes it, on any machine."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from polylect.checkpoints import Floats

_Axpy = Callable[[float, Floats, Floats], None]
_EXACT_ELEMENTS = 2**12  # its temporaries stay in the cache


def fused_axpy(weight: float, values: Floats, total: Floats) -> None:
    """Add ``weight * values`` to ``total`` in place, rounding each element once.

    Uses BLAS's ``axpy``, at the speed of memory, where numpy's own OpenBLAS fuses (tried once, at
    every length that a loop could end with). Elsewhere float32 is computed in float64 and rounded
    to odd before it is rounded to nearest, which gives the same bits. The result of an element
    depends neither on its position nor on the number of elements.

    Float64 is rounded twice on a machine whose BLAS does not fuse.

    Args:
        weight: converted to the dtype of the arrays.
        values: contiguous, with the dtype and length of ``total``.
        total: float32 or float64, contiguous.
    """
    assert values.dtype == total.dtype, f"{values.dtype} added to {total.dtype}"
    assert values.size == total.size, f"{values.size} values, {total.size} totals"
    weight = float(total.dtype.type(weight))
    if total.dtype == np.float32:
        _axpy_for(np.float32)(weight, values, total)
    else:
        _axpy_for(np.float64)(weight, values, total)


def bound_axpy(values: Floats, total: Floats) -> Callable[[float], None]:
    """``fused_axpy`` bound to two float32 arrays that stay in place; takes the weight only.

    Looking up the address of an array costs as much as adding a few thousand elements.
    """
    blas = _blas()
    if blas is None or _axpy_for(np.float32) is exact_axpy:
        return lambda weight: fused_axpy(weight, values, total)
    call, num, source, target = blas["saxpy"], values.size, _address(values), _address(total)

    def add(weight: float) -> None:
        if weight:
            call(num, weight, source, 1, target, 1)
        else:
            fused_axpy(weight, values, total)

    return add


def exact_axpy(weight: float, values: Floats, total: Floats) -> None:
    """``fused_axpy`` for float32 without BLAS: the definition, used where BLAS does not fuse."""
    # Infinities and NaN propagate, as in BLAS; whoever reads the sum finds them.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, total.size, _EXACT_ELEMENTS):
            piece = slice(start, start + _EXACT_ELEMENTS)
            _rounded_to_odd(weight, values[piece], total[piece])


def _rounded_to_odd(weight: float, values: Floats, total: Floats) -> None:
    product = values.astype(np.float64)
    product *= weight  # 24 bits times 24 bits: exact
    wide = total.astype(np.float64)
    rounded = wide + product
    # The rounding error of the addition (Knuth's two-sum) decides float32's halfway cases.
    added = rounded - wide
    error = (wide - (rounded - added)) + (product - added)
    bits = rounded.view(np.int64)
    inexact = (error != 0) & (bits & 1 == 0) & np.isfinite(rounded)
    away = (error > 0) == (rounded > 0)
    bits += np.where(inexact, np.where(away, 1, -1), 0)
    total[...] = rounded


def abs_sum(values: Floats) -> float:
    """The approximate sum of magnitudes; infinite or NaN if an element is, or on overflow."""
    blas = _blas()
    if blas is None or not values.size:
        return float(np.abs(values).sum())
    name = "sasum" if values.dtype == np.float32 else "dasum"
    return float(blas[name](values.size, _address(values), 1))


@cache
def _axpy_for(dtype: type) -> _Axpy:
    """The fastest axpy of this machine that rounds once."""
    blas = _blas()
    if blas is None:
        return exact_axpy if dtype is np.float32 else _two_roundings
    call = blas["saxpy" if dtype is np.float32 else "daxpy"]

    def axpy(weight: float, values: Floats, total: Floats) -> None:
        if weight:  # BLAS returns at once for 0, which ignores NaN and infinity
            call(values.size, weight, _address(values), 1, _address(total), 1)
        else:
            total += values * 0

    if dtype is np.float32 and not _fuses(axpy):
        return exact_axpy
    return axpy


def _two_roundings(weight: float, values: Floats, total: Floats) -> None:
    total += values * weight


def _fuses(axpy: _Axpy) -> bool:
    """Whether an axpy gives the bits of a fused multiply-add at every index of short arrays."""
    random = np.random.default_rng(0)
    for num in (*range(1, 130), 4099):
        values, total = random.standard_normal((2, num)).astype(np.float32)
        expected = total.copy()
        weight = float(np.float32(random.standard_normal()))
        exact_axpy(weight, values, expected)
        axpy(weight, values, total)
        if not np.array_equal(total, expected):
            return False
    return True


@cache
def _blas() -> dict[str, Any] | None:
    """Functions of the OpenBLAS that ships with numpy; None with another BLAS."""
    folder = Path(np.__file__).parent.with_name("numpy.libs")
    for path in sorted(folder.glob("libscipy_openblas64_*")):
        try:
            library = ctypes.CDLL(str(path))  # numpy has loaded it already
            return _declare(library)
        except (OSError, AttributeError):
            continue
    return None


def _declare(library: ctypes.CDLL) -> dict[str, Any]:
    integer, pointer = ctypes.c_int64, ctypes.c_void_p
    functions: dict[str, Any] = {}
    for letter, real in (("s", ctypes.c_float), ("d", ctypes.c_double)):
        axpy = library[f"scipy_cblas_{letter}axpy64_"]
        axpy.argtypes, axpy.restype = [integer, real, pointer, integer, pointer, integer], None
        asum = library[f"scipy_cblas_{letter}asum64_"]
        asum.argtypes, asum.restype = [integer, pointer, integer], real
        functions |= {f"{letter}axpy": axpy, f"{letter}asum": asum}
    return functions


def _address(array: Floats) -> int:
    assert array.flags.c_contiguous, "BLAS needs contiguous arrays"
    return array.__array_interface__["data"][0]
