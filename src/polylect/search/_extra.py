"""The optional packages of a search, imported when they are needed."""

from types import ModuleType

from polylect.base import import_optional


def optional(name: str) -> ModuleType:
    """A module of cma or pymoo.

    Raises:
        InputError: the package is not installed.
    """
    return import_optional(name, "a search of weights", "search")


def check_packages() -> None:
    """Refuse a search whose packages are not installed, before anything is computed.

    Raises:
        InputError: names the package and how to install it.
    """
    optional("cma")
    optional("pymoo.indicators.hv")
