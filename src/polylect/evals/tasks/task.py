"""What a task is: rows, languages, prompt and scorer, under a name and a version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal

from polylect.base import InputError, Ledger
from polylect.evals.items import Item, unique_ids
from polylect.evals.sources import (
    Dataset,
    Missing,
    MissingTranslation,
    NoExamples,
    Row,
    Source,
    config_of,
)
from polylect.rows import FIRST_METRICS

Reader = Callable[[Source, str], list[Item]]
"""The items of a language, from a source, always in the same order."""

Metrics = Mapping[str, float]
"""Values by the name of the metric."""


def item_per_row(
    data: Dataset,
    split: str,
    item: Callable[[Row, str], Item],
    configs: Mapping[str, str] | None = None,
    ids_repeat: bool = False,
) -> Reader:
    """A reader that makes one item of every row of a split.

    Args:
        data: the dataset.
        split: by the hub's name.
        item: the item of a row in a language.
        configs: configuration of the dataset by tag; None for those of ``config_of``.
        ids_repeat: the published ids repeat; see ``unique_ids``.
    """

    def read(source: Source, tag: str) -> list[Item]:
        config = config_of(tag) if configs is None else configs[tag]
        items = [item(row, tag) for row in source.rows(data, config, split)]
        return unique_ids(items) if ids_repeat else items

    return read


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """A metric over all answers of a language together, such as corpus chrF++.

    Attributes:
        metric: its name.
        value: on the scale of the tool that computed it.
        signature: version and settings of that tool.
    """

    metric: str
    value: float
    signature: str


@dataclass(frozen=True)
class Generation:
    """How answers are generated and scored.

    Attributes:
        max_new_tokens: default length limit of an answer.
        stop: the stop texts of a language; generation ends before the first of them.
        score: metrics of one answer; not used where ``program`` is given.
        program: the program to run for an answer, tests included; scored by pass@k.
        corpus: metrics over all items of a language and the first answer to each. The ledger
            counts metrics that could not be computed.
        needs: package that scores the answers, and the extra of polylect that installs it.
    """

    max_new_tokens: int
    stop: Callable[[str], tuple[str, ...]]
    score: Callable[[Item, str], Metrics] | None = None
    program: Callable[[Item, str], str] | None = None
    corpus: Callable[[Sequence[Item], Sequence[str], Ledger], list[CorpusScore]] | None = None
    needs: tuple[str, str] | None = None

    def require(self) -> None:
        """See to it that the answers can be scored before any is generated.

        Raises:
            Missing: a package is not installed.
        """
        if self.needs is not None and find_spec(self.needs[0]) is None:
            raise Missing(
                f"scoring the answers needs the package {self.needs[0]!r}, which is not installed",
                f"pip install -c constraints.txt '.[{self.needs[1]}]'",
            )


@dataclass(frozen=True)
class Task:
    """A task of choice, likelihood or generation.

    Attributes:
        name: on the command line and in every row.
        summary: one line for ``polylect tasks``.
        languages: tags, in the order in which they are scored.
        scorer: ``choice`` picks among an item's choices, ``likelihood`` scores its one gold text,
            ``generation`` reads what the model writes.
        read: its items.
        version: raised whenever items, prompt or answer change.
        pool: few-shot examples; None takes them from the items themselves.
        max_shots: the most few-shot examples that the task accepts; None for any number.
        data: the published dataset; None for a task file.
        generation: given exactly where the scorer is ``generation``.
    """

    name: str
    summary: str
    languages: tuple[str, ...]
    scorer: Literal["choice", "likelihood", "generation"]
    read: Reader
    version: int = 1
    pool: Reader | None = None
    max_shots: int | None = None
    data: Dataset | None = None
    generation: Generation | None = None

    def __post_init__(self) -> None:
        assert (self.scorer == "generation") == (self.generation is not None), self.name

    @property
    def label(self) -> str:
        """What stands in the column ``task``: the name, @ and the version."""
        return f"{self.name}@{self.version}"

    @property
    def metric(self) -> str:
        """The metric that stands for the task; of a task in a file by its scorer."""
        default = "acc" if self.scorer == "choice" else "bits_per_byte"
        return FIRST_METRICS.get(self.name, default)

    def generated(self, name: str, summary: str, generation: Generation, **changes: Any) -> "Task":
        """A task that asks for the same items by generation; its version is 1 if not given.

        Args:
            name: of the new task.
            summary: of the new task.
            generation: how its answers are generated and scored.
            changes: other fields that differ, such as ``read`` or ``pool``.
        """
        changes = {"version": 1} | changes
        return replace(
            self, name=name, summary=summary, scorer="generation", generation=generation, **changes
        )

    def items(self, source: Source, language: str) -> list[Item]:
        """The items of a language, in a fixed order.

        Raises:
            MissingTranslation: the task does not have the language, or the source has no data in
                it.
            InputError: the data are not at hand, are broken, or hold an item twice.
        """
        self._require(language)
        return self._checked(self.read(source, language), language)

    def shots(self, source: Source, language: str) -> list[Item]:
        """The pool of few-shot examples; empty where the items themselves are the pool.

        Raises:
            MissingTranslation: the task does not have the language.
            InputError: the examples are not at hand, or are broken.
        """
        self._require(language)
        if self.pool is None:
            return []
        try:
            return self._checked(self.pool(source, language), language)
        except MissingTranslation as error:
            raise NoExamples(
                f"{error.message}: no examples", f"{error.hint}, or --shots 0"
            ) from None

    def _checked(self, items: list[Item], language: str) -> list[Item]:
        """The items, each of which has an id of its own, a right choice and something to score."""
        ids: set[str] = set()
        for item in items:
            problem = ""
            if item.id in ids:
                problem = " is there twice"
            elif not 0 <= item.answer < len(item.choices):
                problem = f": answer {item.answer} of {len(item.choices)} choices, from 0"
            elif not all(item.choices):
                problem = ": a choice is empty"
            if problem:
                raise InputError(
                    f"{self.name} ({language}): item {item.id!r}{problem}",
                    "download the data again",
                )
            ids.add(item.id)
        return items

    def _require(self, language: str) -> None:
        if language not in self.languages:
            raise MissingTranslation(
                f"{self.name}: not in {language}", f"it has {' '.join(self.languages)}"
            )
