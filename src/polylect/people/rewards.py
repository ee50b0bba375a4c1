"""A person's fitted model as a reward like any other: ``people:DIR#user``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger, digest_of
from polylect.engine import Encoder, Question, Reward
from polylect.people.crowd import Text
from polylect.people.methods.model import VectorModel
from polylect.people.saved import ARRAYS, RECORD, load_model, read_origin
from polylect.people.seeing import encoder_of, see
from polylect.rows import Message
from polylect.runs import Files
from polylect.text import DEFAULT_IDENTIFIER

PEOPLE = "people:"
"""What a name of such a reward begins with."""
UNKNOWN_USER = "fell back: scores of the crowd for a user that the model does not know"
"""Ledger event: a text scored by the pooled model."""


@dataclass(frozen=True)
class PeopleSource:
    """What a user of a fitted model likes, as input of a step; see ``engine.RewardSource``.

    Attributes:
        folder: of ``polylect people fit`` or ``adapt``.
        user: whose scores; empty for those of the crowd.
    """

    folder: Path
    user: str = ""

    @property
    def name(self) -> str:
        """``people:DIR#user``."""
        return f"{PEOPLE}{self.folder}" + (f"#{self.user}" if self.user else "")

    @property
    def digest(self) -> str:
        """Digest of the model's files, of the encoder's content and of the user's name.

        Raises:
            InputError: there is no model or no encoder.
        """
        files = [Files(self.folder / name).digest for name in (ARRAYS, RECORD)]
        encoder = encoder_of(read_origin(self.folder)).content
        return digest_of({"people": files, "encoder": encoder, "user": self.user})

    def open(
        self,
        template: str,
        micro_batch_tokens: int,
        ledger: Ledger,
        *,
        identifier: str = DEFAULT_IDENTIFIER,
        is_planned: bool = False,
    ) -> Reward:
        """The reward; see ``engine.RewardSource``. The template has no effect.

        Raises:
            InputError: there is no model or no encoder.
        """
        return _PeopleReward(
            load_model(self.folder), encoder_of(read_origin(self.folder)), self.user
        )


@dataclass(frozen=True)
class _PeopleReward:
    """The user's score of every answer; the crowd's for a user whom the model does not know."""

    model: VectorModel
    encoder: Encoder
    user: str
    place: str = ""

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]: log-odds where two answers are compared."""
        texts = [
            Text(tuple(question.messages), answer, question.language)
            for question in questions
            for answer in question.answers
        ]
        if not texts:
            return [[] for _ in questions]
        if self.user and self.user not in self.model.users:
            for text in texts:
                ledger.count(UNKNOWN_USER, 1, text.language)
        model = replace(self.model, ledger=ledger)
        scores = model.score(self.user, see(texts, self.encoder, ledger))
        if not np.isfinite(scores).all():
            raise InputError("a personal reward is not finite", "fit the model again")
        values = iter(scores.tolist())
        return [[next(values) for _ in question.answers] for question in questions]

    def check_prompt(self, messages: Sequence[Message], language: str) -> None:
        """Refuse nothing; see ``engine.Reward``."""


def people_source(name: str, option: str = "--reward") -> PeopleSource:
    """The source of ``people:DIR#user``, or of ``people:DIR`` for the crowd.

    Args:
        name: what was typed.
        option: what errors call it.

    Raises:
        InputError: there is no fitted model in the folder, or no encoder for it.
    """
    place, _, user = name.removeprefix(PEOPLE).partition("#")
    folder = Path(place)
    if not place or not (folder / RECORD).is_file():
        raise InputError(
            f"{option} {name}: there is no fitted model", f"{option} {PEOPLE}DIR#USER, DIR of"
            " polylect people fit",
        )  # fmt: skip
    encoder_of(read_origin(folder))
    return PeopleSource(folder, user)
