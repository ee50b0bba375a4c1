"""Package faces: the public names of a package, imported when they are first used.

A face is the package's ``__init__.py``: its docstring, and one block ``if TYPE_CHECKING:`` of
ordinary imports, each public name once. The type checker, import-linter and the reader see plain
imports; at run time a name is loaded when it is first asked for, so that importing a package costs
nothing and brings no torch.
"""

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polylect.base.heavy import import_heavy


def face(
    package: str, file: str
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        file: its ``__file__``, whose ``if TYPE_CHECKING:`` block names what is public.

    Returns:
        What the package assigns to those three names.
    """
    modules = _imports(Path(file))

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_heavy(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(modules)
    return names, load, lambda: names


def _imports(file: Path) -> dict[str, str]:
    """The module of every name that the file imports below ``if TYPE_CHECKING:``."""
    blocks = [
        node for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]  # fmt: skip
    return {
        alias.name: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
