"""What is said beside a result: on standard error, unless it is to be quiet."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def notice(text: str) -> None:
    """Say a line that is no part of the result."""
    if not _QUIET.get():
        sys.stderr.write(f"polylect: {text}\n")
        sys.stderr.flush()


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing within, and draw no progress."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether nothing is to be said."""
    return _QUIET.get()
