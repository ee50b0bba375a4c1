"""What a task is: rows, languages, prompt and scorer, under a name and a version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polylect.base import InputError, Ledger
from polylect.evals.items import Item
from polylect.evals.sources import MissingTranslation, Source

Reader = Callable[[Source, str], list[Item]]
"""The items of a language, from a source, always in the same order."""


Metrics = Mapping[str, float]
"""Values by the name of the metric."""


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """A score of all answers of a language together, which no item has a part in.

    Attributes:
        metric: its name.
        value: as its own tool gives it.
        signature: what that tool says it did.
    """

    metric: str
    value: float
    signature: str


@dataclass(frozen=True)
class Generation:
    """How a task is generated and how its answers are scored.

    Attributes:
        max_new_tokens: longest answer, unless somebody asks for another.
        stop: texts before which an answer ends, by language.
        score: the metrics of one answer.
        program: the program to run for an answer, its tests included; it is scored by whether it
            passes then, and ``score`` is not asked.
        corpus: scores of all items and their first answers in a language; None for none. The last
            argument counts what could not be computed.
    """

    max_new_tokens: int
    stop: Callable[[str], tuple[str, ...]]
    score: Callable[[Item, str], Metrics] | None = None
    program: Callable[[Item, str], str] | None = None
    corpus: Callable[[Sequence[Item], Sequence[str], Ledger], list[CorpusScore]] | None = None


@dataclass(frozen=True)
class Task:
    """A task of choice, likelihood or generation.

    Attributes:
        name: on the command line and in every row.
        version: raised whenever items, prompt or answer change.
        summary: one line.
        languages: tags, in the order in which they are scored.
        scorer: ``choice`` picks among an item's choices, ``likelihood`` scores its one gold text,
            ``generation`` reads what the model writes.
        read: its items.
        pool: examples for few-shot prompts; None where the items themselves are the pool.
        max_shots: how many examples it takes at most; None for any number.
        license: of the data.
        home: where to get the data.
        hub: its repository on the Hugging Face hub; empty for none.
        generation: of a task of generation.
    """

    name: str
    version: int
    summary: str
    languages: tuple[str, ...]
    scorer: Literal["choice", "likelihood", "generation"]
    read: Reader
    pool: Reader | None = None
    max_shots: int | None = None
    license: str = ""
    home: str = ""
    hub: str = ""
    generation: Generation | None = None

    def __post_init__(self) -> None:
        assert (self.scorer == "generation") == (self.generation is not None), self.name

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
