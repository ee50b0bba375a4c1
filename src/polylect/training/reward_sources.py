"""Rewards that a training knows how to give, by name; never imports torch before one is opened."""

from dataclasses import dataclass
from pathlib import Path

from polylect.base import Ledger, digest_of
from polylect.engine import Reward
from polylect.runs import Files
from polylect.text import DEFAULT_IDENTIFIER
from polylect.training.config import LANGUAGE


@dataclass(frozen=True)
class LanguageSource:
    """The language itself as a reward."""

    name: str = LANGUAGE

    @property
    def digest(self) -> str:
        """Digest of the name; the identifier is a setting of its own."""
        return digest_of(self.name)

    def open(
        self,
        template: str,
        micro_batch_tokens: int,
        ledger: Ledger,
        *,
        identifier: str = DEFAULT_IDENTIFIER,
        is_planned: bool = False,
    ) -> Reward:
        """The reward; see ``RewardSource``.

        Raises:
            InputError: there is no such identifier.
        """
        from polylect.training.rewards import language_reward

        return language_reward(identifier)


@dataclass(frozen=True)
class ModelSource:
    """A reward model.

    Attributes:
        path: a folder of ``polylect train reward``, or of another tool.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def digest(self) -> str:
        """Digest of the folder's content.

        Raises:
            InputError: there is no such folder.
        """
        return Files(self.path).digest

    def open(
        self,
        template: str,
        micro_batch_tokens: int,
        ledger: Ledger,
        *,
        identifier: str = DEFAULT_IDENTIFIER,
        is_planned: bool = False,
    ) -> Reward:
        """The reward; see ``RewardSource``.

        Raises:
            InputError: the folder holds no reward model.
        """
        from polylect.training.rewards import model_reward

        return model_reward(self.path, template, micro_batch_tokens, ledger, is_planned=is_planned)
