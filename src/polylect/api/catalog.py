"""All verbs: where each is defined; imports nothing."""

from importlib import import_module
from typing import Any

CALLS: dict[str, str] = {
    "evaluate": "evaluation",
    "compare": "comparison",
    "generate": "generation",
}
"""The module of ``polylect.api`` of every call, by its name in Python."""

COMMANDS: dict[str, str] = {
    "eval": "evaluate",
    "compare": "compare",
    "generate": "generate",
}
"""The name in Python of every verb, by its words on the command line."""


def find_call(name: str) -> Any:
    """The call of a name in Python, ``train.sft``; its ``verb`` has its options."""
    return getattr(import_module(f"polylect.api.{CALLS[name]}"), name.replace(".", "_"))
