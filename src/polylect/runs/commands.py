"""Which command is running: said once by the surface, kept beside everything written under it."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

PROGRAM = "polylect"


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command, as it can be typed again.

    Attributes:
        words: of the command line, without the program's name.
        folder: where it ran, which relative paths among the words start from.
        what: the verb that a list of runs shows.
    """

    words: tuple[str, ...]
    folder: str
    what: str

    @property
    def command(self) -> str:
        """The command line, quoted for a shell.

        >>> Invocation(("eval", "my model"), "/home/ada", "eval").command
        "polylect eval 'my model'"
        """
        return shlex.join([PROGRAM, *self.words])

    def paste(self, folder: str) -> str:
        """The command line as it can be pasted in a shell that stands in ``folder``."""
        if not self.folder or self.folder == folder:
            return self.command
        return f"cd {shlex.quote(self.folder)} && {self.command}"

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        return {"words": list(self.words), "folder": self.folder, "what": self.what}

    @classmethod
    def from_json(cls, value: Any) -> "Invocation | None":
        """The invocation in a JSON value; None where there is none, as in older results."""
        if not isinstance(value, Mapping) or not isinstance(value.get("words"), list):
            return None
        words = tuple(map(str, value["words"]))
        return cls(words, str(value.get("folder") or ""), str(value.get("what") or ""))


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


@contextmanager
def invocation(words: Sequence[object], what: str = "") -> Iterator[Invocation]:
    """Says which command is running: results that are written in the block keep its words.

    Inside another one nothing changes: what was typed is what made the result.

    Args:
        words: of the command line that does the same, without the program's name.
        what: the verb for lists of runs; default: the first word.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    texts = tuple(map(str, words))
    running = Invocation(texts, os.getcwd(), what or next(iter(texts), ""))
    token = _current.set(running)
    try:
        yield running
    finally:
        _current.reset(token)


@contextmanager
def without_word(word: str) -> Iterator[None]:
    """What is written in the block keeps the command without one of its words: a person's name.

    Args:
        word: a value of the command line, which an ellipsis replaces.
    """
    running = _current.get()
    if running is None:
        yield
        return
    words = [
        text[: len(text) - len(word)] + "…" if text == word or text.endswith(f"={word}") else text
        for text in running.words
    ]
    token = _current.set(Invocation(tuple(words), running.folder, running.what))
    try:
        yield
    finally:
        _current.reset(token)


def current_invocation() -> Invocation | None:
    """The command that is running, where the surface has said so."""
    return _current.get()


@contextmanager
def continued(running: Invocation | None) -> Iterator[None]:
    """In a worker process: the command that the parent runs."""
    token = _current.set(running)
    try:
        yield
    finally:
        _current.reset(token)
