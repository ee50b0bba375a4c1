"""Labels of models."""

from collections.abc import Sequence


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, those that repeat numbered by their position.

    >>> unique_names(["final", "base", "final"])
    ['final#1', 'base', 'final#3']
    """
    return [
        f"{name}#{number}" if names.count(name) > 1 else name
        for number, name in enumerate(names, start=1)
    ]
