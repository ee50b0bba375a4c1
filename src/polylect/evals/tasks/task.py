"""What a task is: rows, languages, prompt and scorer, under a name and a version."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import MissingTranslation, Source

Reader = Callable[[Source, str], list[Item]]
"""The items of a language, from a source, always in the same order."""


@dataclass(frozen=True)
class Task:
    """A task of choice or likelihood.

    Attributes:
        name: on the command line and in every row.
        version: raised whenever items, prompt or answer change.
        summary: one line.
        languages: tags, in the order in which they are scored.
        scorer: ``choice`` picks among an item's choices, ``likelihood`` scores its one gold text.
        read: its items.
        pool: examples for few-shot prompts; None where the items themselves are the pool.
        max_shots: how many examples it takes at most; None for any number.
        licence: of the data.
        home: where to get the data.
        hub: its repository on the Hugging Face hub; empty for none.
    """

    name: str
    version: int
    summary: str
    languages: tuple[str, ...]
    scorer: Literal["choice", "likelihood"]
    read: Reader
    pool: Reader | None = None
    max_shots: int | None = None
    licence: str = ""
    home: str = ""
    hub: str = ""

    @property
    def label(self) -> str:
        """What stands in the column ``task``: the name, @ and the version."""
        return f"{self.name}@{self.version}"

    def items(self, source: Source, language: str) -> list[Item]:
        """The items of a language, in a fixed order.

        Raises:
            MissingTranslation: the task does not have the language, or the source has no data in
                it.
            InputError: the data are not at hand, are broken, or hold an item twice.
        """
        self._check(language)
        return self._sound(self.read(source, language), language)

    def shots(self, source: Source, language: str) -> list[Item]:
        """Examples to go before the items; none where the items themselves are the pool.

        Raises:
            MissingTranslation: the task does not have the language.
            InputError: the examples are not at hand, or are broken.
        """
        self._check(language)
        if self.pool is None:
            return []
        try:
            return self._sound(self.pool(source, language), language)
        except MissingTranslation as error:
            raise InputError(
                f"{error.message}: no examples", f"{error.hint}, or --shots 0"
            ) from None

    def _sound(self, items: list[Item], language: str) -> list[Item]:
        """The items, when each has an id of its own, a right choice and something to score."""
        seen: set[str] = set()
        for one in items:
            where = f"{self.name} ({language}): item {one.id!r}"
            if one.id in seen:
                raise InputError(f"{where} is there twice", "download the data again")
            if not 0 <= one.answer < len(one.choices):
                raise InputError(
                    f"{where}: answer {one.answer} of {len(one.choices)} choices, from 0",
                    "download the data again",
                )
            if not all(one.choices):
                raise InputError(f"{where}: a choice is empty", "download the data again")
            seen.add(one.id)
        return items

    def _check(self, language: str) -> None:
        if language not in self.languages:
            raise MissingTranslation(
                f"{self.name}: not in {language}", f"it has {' '.join(self.languages)}"
            )
