"""A reward that is a user's function, ``FILE.py:function``."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_of
from polylect.engine.rewards import Question
from polylect.rows import Message, as_dicts
from polylect.runs import Files, load_file, users_code
from polylect.text import DEFAULT_IDENTIFIER

MESSAGES = "messages"
"""A function whose first argument is called so gets all turns."""


@dataclass(frozen=True)
class FunctionSource:
    """A function in a file of the user's.

    Attributes:
        file: the file.
        function: its name there.
    """

    file: Path
    function: str

    @property
    def name(self) -> str:
        """``FILE.py:function``."""
        return f"{self.file}:{self.function}"

    @property
    def digest(self) -> str:
        """Digest of the file's content and of the function's name.

        Raises:
            InputError: there is no such file.
        """
        about = {"file": Files(self.file).digest, "function": self.function}
        # Earlier versions handed all turns to every function.
        return digest_of(about if _takes_messages(self._load()) else about | {"prompt": "text"})

    def open(
        self,
        template: str,
        micro_batch_tokens: int,
        ledger: Ledger,
        *,
        identifier: str = DEFAULT_IDENTIFIER,
        is_planned: bool = False,
    ) -> "FunctionReward":
        """The function as a reward; see ``RewardSource``.

        Raises:
            InputError: there is no such function, or it cannot be called with prompt, answer and
                language.
        """
        return FunctionReward(self._load(), self.name)

    def _load(self) -> Callable[..., Any]:
        function = getattr(load_file(self.file), self.function, None)
        if not callable(function):
            raise InputError(f"{self.file}: no function {self.function!r}", "give FILE.py:function")
        try:
            inspect.signature(function).bind("", "", "en")
        except TypeError as error:
            raise InputError(
                f"{self.file}: {self.function} cannot be called ({error})",
                f"def {self.function}(prompt, answer, language) -> float",
            ) from None
        return function


def _takes_messages(function: Callable[..., Any]) -> bool:
    """Whether the first argument is called ``messages``: it gets all turns."""
    return next(iter(inspect.signature(function).parameters), "") == MESSAGES


@dataclass(frozen=True)
class FunctionReward:
    """A user's function of prompt, answer and language.

    The prompt is the text of its last message; a function whose first argument is called
    ``messages`` gets all of them, dicts of role and content.

    Attributes:
        function: gives a finite number.
        name: for errors.
    """

    function: Callable[..., Any]
    name: str
    place: str = ""

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]; see ``Reward``."""
        return [
            [self._score(question, text) for text in question.answers] for question in questions
        ]

    def check_prompt(self, messages: Sequence[Message], language: str) -> None:
        """Refuse messages that are not plain text, where the function gets them; see ``Reward``."""
        self._prompt(messages)

    def _prompt(self, messages: Sequence[Message]) -> str | list[dict[str, str]]:
        return as_dicts(messages) if _takes_messages(self.function) else messages[-1].content

    def _score(self, question: Question, text: str) -> float:
        file, _, function = self.name.rpartition(":")
        with users_code(Path(file), function):
            value = self.function(self._prompt(question.messages), text, question.language)
        if isinstance(value, bool | int | float | np.number) and np.isfinite(value):
            return float(value)
        raise InputError(
            f"--reward {self.name}: gave {value!r} for an answer in {question.language}",
            "return a finite number",
        )
