"""Preferences of many people, as arrays; says nothing about how a text is seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylect.base import InputError, digest_of
from polylect.rows import Message, Preference


@dataclass(frozen=True, slots=True)
class Text:
    """A response beside the prompt that it answers.

    Attributes:
        messages: of the prompt; empty where there is none (a statement, a joke).
        response: the text that is preferred or not.
        language: tag.
    """

    messages: tuple[Message, ...]
    response: str
    language: str

    @property
    def prompt(self) -> str:
        """The prompt as one text; empty without one."""
        return "\n\n".join(message.content for message in self.messages)


@dataclass(frozen=True)
class Seen:
    """Texts as an encoder sees them.

    Attributes:
        texts: in order.
        vectors: float32 [texts, width]; width 0 where texts themselves are read.
    """

    texts: tuple[Text, ...]
    vectors: np.ndarray


@dataclass(frozen=True)
class Crowd:
    """Who prefers which text to which.

    Attributes:
        users: their names, in the order of ``user``'s numbers.
        texts: what was compared, each once.
        prompts: number of each text's prompt, int32 [texts]; equal where the prompts are.
        user: of each pair, int32 [pairs].
        chosen, rejected: the texts of each pair, int32 [pairs].
        places: file and line of each pair, for errors; may be empty.
    """

    users: tuple[str, ...]
    texts: tuple[Text, ...]
    prompts: np.ndarray
    user: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    places: tuple[str, ...] = ()

    @property
    def num_pairs(self) -> int:
        """How many preferences there are."""
        return len(self.user)

    @cached_property
    def digest(self) -> str:
        """Digest of all that it holds, but the places."""
        texts = [
            [[(m.role, m.content) for m in text.messages], text.response, text.language]
            for text in self.texts
        ]
        arrays = [x.tolist() for x in (self.user, self.chosen, self.rejected)]
        return digest_of({"users": self.users, "texts": texts, "pairs": arrays})

    def pairs_of(self, user: int) -> np.ndarray:
        """Numbers of a user's pairs, int64, in order."""
        return np.flatnonzero(self.user == user)

    def take(self, pairs: np.ndarray) -> "Crowd":
        """Only some pairs (numbers, or a mask); users and texts keep their numbers."""
        numbers = np.arange(self.num_pairs)[pairs]
        places = tuple(self.places[i] for i in numbers) if self.places else ()
        return replace(
            self, user=self.user[numbers], chosen=self.chosen[numbers],
            rejected=self.rejected[numbers], places=places,
        )  # fmt: skip


def crowd_of(preferences: Sequence[Preference]) -> Crowd:
    """The preferences of rows that say whose they are.

    Users are sorted by name; texts are in the order in which they first appear.

    Raises:
        InputError: a row has no user, or no row is left.
    """
    if not preferences:
        raise InputError("there is no preference", "give rows with user, prompt, chosen, rejected")
    names = sorted({row.user for row in preferences})
    if not names[0]:
        row = next(row for row in preferences if not row.user)
        raise InputError(f"{row.place}: 'user' is missing", "say whose preference it is")
    numbers = {name: i for i, name in enumerate(names)}
    texts: dict[Text, int] = {}
    prompts: dict[tuple[tuple[Message, ...], str], int] = {}
    pairs = np.empty((3, len(preferences)), np.int32)
    for i, row in enumerate(preferences):
        pairs[0, i] = numbers[row.user]
        for side, response in enumerate((row.chosen, row.rejected), start=1):
            text = Text(row.messages, response, row.language)
            pairs[side, i] = texts.setdefault(text, len(texts))
    of_text = [
        prompts.setdefault((text.messages, text.language), len(prompts)) for text in texts
    ]  # fmt: skip
    return Crowd(
        tuple(names), tuple(texts), np.array(of_text, np.int32), *pairs,
        places=tuple(row.place for row in preferences),
    )  # fmt: skip
