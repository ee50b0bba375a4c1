"""Items of a task: prompt, choices and the right answer, in one language."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its possible answers.

    A likelihood item has one choice, the gold text.

    Attributes:
        id: unique within task and language; equal in all languages for translations of one item.
        language: tag.
        context: text before the choices; a tuple where every choice has its own (the two readings
            of a Winograd sentence).
        choices: what follows the context, without the delimiter.
        answer: index of the right choice.
        delimiter: between context and choice.
        cluster: items of one cluster (a document, a premise) are resampled together; empty is the
            item itself.
        group: a subject or source within the task; may be empty.
        tests: code that a generated program is run with; empty for none.
        source: the sentence to translate; empty for none.
    """

    id: str
    language: str
    context: str | tuple[str, ...]
    choices: tuple[str, ...]
    answer: int = 0
    delimiter: str = " "
    cluster: str = ""
    group: str = ""
    tests: str = ""
    source: str = ""

    def contexts(self) -> tuple[str, ...]:
        """The context of every choice."""
        if isinstance(self.context, tuple):
            return self.context
        return (self.context,) * len(self.choices)


def unique_ids(items: Iterable[Item]) -> list[Item]:
    """The items with ``#2``, ``#3`` … after an id that came before.

    For published datasets in which ids repeat.

    Example:
        >>> [item.id for item in unique_ids([Item("a", "de", "", ("x",))] * 2)]
        ['a', 'a#2']
    """
    counts: Counter[str] = Counter()
    numbered = []
    for item in items:
        counts[item.id] += 1
        count = counts[item.id]
        numbered.append(replace(item, id=f"{item.id}#{count}") if count > 1 else item)
    return numbered
