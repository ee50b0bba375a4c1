"""The optional packages of a search, imported when they are needed."""

import importlib
from typing import Any

from polylect.base import PolylectError, gc_paused


def optional(name: str) -> Any:
    """Import a module of an optional package.

    Raises:
        PolylectError: the package is not installed.
    """
    try:
        with gc_paused():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if (error.name or "").split(".")[0] != package:
            raise
        raise PolylectError(
            f"a search of weights needs {package}, which is not installed",
            "pip install -c constraints.txt '.[search]'",
        ) from None
