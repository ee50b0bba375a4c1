"""Returning freed memory to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def release_memory() -> None:
    """Return the heap's free pages to the system; does nothing without glibc.

    glibc keeps free memory between allocated blocks: after work with many large tensors that can be
    as much as is allocated. Costs about 0.1 ms for every MiB that is needed again.
    """
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            return malloc_trim
    return lambda _: None
