"""What a reward is: a number for every answer to a prompt; and what names one.

A reward is named one way wherever answers are scored. Who reads the name
(``polylect.recipes.find_reward``) hands a ``RewardSource`` down, so that who scores answers need
not know which kinds there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from polylect.base import Ledger
from polylect.rows import Message
from polylect.text import DEFAULT_IDENTIFIER


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

    @property
    def place(self) -> str:
        """What a refusal of ``check_prompt`` may be the fault of: a template's file; or empty."""
        ...

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]; higher is better."""
        ...

    def check_prompt(self, messages: Sequence[Message], language: str) -> None:
        """Refuse a prompt to whose answers no reward can be given.

        Raises:
            InputError: says why.
        """
        ...


class RewardSource(Protocol):
    """A reward as input of a step: it has a name and a digest, and can be opened."""

    @property
    def name(self) -> str:
        """As the user named it."""
        ...

    @property
    def digest(self) -> str:
        """Digest of all that decides its numbers, as far as files say it."""
        ...

    def open(
        self,
        template: str,
        micro_batch_tokens: int,
        ledger: Ledger,
        *,
        identifier: str = DEFAULT_IDENTIFIER,
        is_planned: bool = False,
    ) -> Reward:
        """The reward.

        Args:
            template: chat template for a reward model that has none.
            micro_batch_tokens: most tokens of a reward model's forward pass.
            ledger: counts what a reward model falls back to.
            identifier: says which language an answer is in; see ``open_identifier``.
            is_planned: only whether and of what a reward can be given: no weights are loaded.

        Raises:
            InputError: there is no such reward.
        """
        ...
