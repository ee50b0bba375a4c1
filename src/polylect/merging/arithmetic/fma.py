"""Sums of products with one rounding each, as a fused multiply-add gives them, on any machine."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from polylect.checkpoints import Floats

_Axpy = Callable[[float, Floats, Floats], None]


def add_product(weight: float, values: Floats, total: Floats) -> None:
    """Add ``weight * values`` to ``total`` in place, each element rounded once.

    BLAS's ``axpy`` does it at the speed of memory where it is numpy's own OpenBLAS and fuses (which
    is tried out once, at every length that a loop could end with); elsewhere float32 goes through
    float64 and is rounded to odd before it is rounded to nearest, which gives the same bits. The
    result of an element does not depend on its place or on the number of elements.

    Float64 on a machine whose BLAS does not fuse gets two roundings.

    Args:
        weight: taken in the type of the arrays.
        values: contiguous, of the type and length of ``total``.
        total: float32 or float64, contiguous.
    """
    assert values.dtype == total.dtype, f"{values.dtype} added to {total.dtype}"
    assert values.size == total.size, f"{values.size} values, {total.size} sums"
    weight = float(total.dtype.type(weight))
    if total.dtype == np.float32:
        _fast_axpy(np.float32)(weight, values, total)
    else:
        _fast_axpy(np.float64)(weight, values, total)


def bound_add_product(values: Floats, total: Floats) -> Callable[[float], None]:
    """``add_product`` for two float32 arrays that stay where they are: takes the weight alone.

    Finding out where an array lies costs as much as adding up a few thousand elements.
    """
    blas = _blas()
    if blas is None or not _is_fast():
        return lambda weight: add_product(weight, values, total)
    call, num, source, target = blas["saxpy"], values.size, _address(values), _address(total)

    def add(weight: float) -> None:
        if weight:
            call(num, weight, source, 1, target, 1)
        else:
            add_product(weight, values, total)

    return add


@cache
def _is_fast() -> bool:
    return _fast_axpy(np.float32) is not exact_add_product


def exact_add_product(weight: float, values: Floats, total: Floats) -> None:
    """``add_product`` for float32 without BLAS: the definition, and the way where BLAS fails."""
    product = values.astype(np.float64)
    product *= weight  # 24 bits times 24 bits: exact
    wide = total.astype(np.float64)
    rounded = wide + product
    # What the addition lost (Knuth's two-sum), to settle float32's halfway cases.
    moved = rounded - wide
    lost = (wide - (rounded - moved)) + (product - moved)
    bits = rounded.view(np.int64)
    inexact = (lost != 0) & (bits & 1 == 0) & np.isfinite(rounded)
    away = (lost > 0) == (rounded > 0)
    bits += np.where(inexact, np.where(away, 1, -1), 0)
    total[...] = rounded


def abs_sum(values: Floats) -> float:
    """The sum of magnitudes, roughly; infinite or NaN if an element is, or if the sum overflows."""
    blas = _blas()
    if blas is None or not values.size:
        return float(np.abs(values).sum())
    name = "sasum" if values.dtype == np.float32 else "dasum"
    return float(blas[name](values.size, _address(values), 1))


@cache
def _fast_axpy(dtype: type) -> _Axpy:
    """The way that was found to work for a type."""
    blas = _blas()
    if blas is None:
        return exact_add_product if dtype is np.float32 else _two_roundings
    call = blas["saxpy" if dtype is np.float32 else "daxpy"]

    def axpy(weight: float, values: Floats, total: Floats) -> None:
        if weight:  # BLAS returns at once for 0, which is the same but for NaN and infinity
            call(values.size, weight, _address(values), 1, _address(total), 1)
        else:
            total += values * 0

    if dtype is np.float32 and not _fuses(axpy):
        return exact_add_product
    return axpy


def _two_roundings(weight: float, values: Floats, total: Floats) -> None:
    total += values * weight


def _fuses(axpy: _Axpy) -> bool:
    """Whether an axpy gives the bits of a fused multiply-add at every place of short arrays."""
    random = np.random.default_rng(0)
    for num in (*range(1, 130), 4099):
        values, total = random.standard_normal((2, num)).astype(np.float32)
        expected = total.copy()
        weight = float(np.float32(random.standard_normal()))
        exact_add_product(weight, values, expected)
        axpy(weight, values, total)
        if not np.array_equal(total, expected):
            return False
    return True


@cache
def _blas() -> dict[str, Any] | None:
    """The functions of the OpenBLAS that came with numpy, or None where there is another BLAS."""
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
    found: dict[str, Any] = {}
    for letter, real in (("s", ctypes.c_float), ("d", ctypes.c_double)):
        axpy = library[f"scipy_cblas_{letter}axpy64_"]
        axpy.argtypes, axpy.restype = [integer, real, pointer, integer, pointer, integer], None
        asum = library[f"scipy_cblas_{letter}asum64_"]
        asum.argtypes, asum.restype = [integer, pointer, integer], real
        found |= {f"{letter}axpy": axpy, f"{letter}asum": asum}
    found["set_num_threads"] = library["scipy_openblas_set_num_threads64_"]
    found["get_num_threads"] = library["scipy_openblas_get_num_threads64_"]
    return found


def _address(array: Floats) -> int:
    assert array.flags.c_contiguous, "BLAS is given contiguous arrays"
    return array.__array_interface__["data"][0]
