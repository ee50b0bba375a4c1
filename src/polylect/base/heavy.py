"""Importing large libraries without the garbage collector walking through them."""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from polylect.base.errors import InputError


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause cyclic garbage collection for code that allocates much and frees almost nothing.

    Importing torch and transformers allocates millions of objects that stay: traversing them again
    and again took 0.6 of 4.3 CPU seconds.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def import_optional(name: str, purpose: str, extra: str) -> ModuleType:
    """The module of that name, of a package that not every installation has.

    Args:
        name: of the module.
        purpose: what needs it; begins the error message.
        extra: the extra of polylect that installs it.

    Raises:
        InputError: the package is not installed.
    """
    try:
        return import_heavy(name)
    except ImportError as error:
        package = name.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise InputError(
            f"{purpose} needs the package {package!r}, which is not installed",
            f"pip install -c constraints.txt '.[{extra}]'",
        ) from None


def import_heavy(name: str) -> ModuleType:
    """The module of that name, imported with collection paused."""
    with gc_paused():
        return importlib.import_module(name)
