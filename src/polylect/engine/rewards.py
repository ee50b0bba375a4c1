"""What a reward is: a number for every answer to a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from polylect.base import Ledger
from polylect.rows import Message


@dataclass(frozen=True)
class Question:
    """A prompt and its answers.

    Attributes:
        messages: of the prompt.
        language: its tag.
        answers: texts.
    """

    messages: Sequence[Message]
    language: str
    answers: Sequence[str]


class Reward(Protocol):
    """Scores answers: a reward model, a user's function, a language gate."""

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]; higher is better."""
        ...
