"""Memory that was freed, given back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def release_memory() -> None:
    """Return the heap's free pages; with another C library than glibc, nothing.

    glibc keeps what lies between blocks in use: after work with many large tensors that can be as
    much as is in use. Costs about a tenth of a millisecond per MiB that is needed again.
    """
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        found = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if found is not None:
            return found
    return lambda _: None
