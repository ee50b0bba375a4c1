"""Items of a task: what is asked of the model, in which language, and what is right."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its possible answers.

    A likelihood item has one choice, the gold text.

    Attributes:
        id: unique within task and language; equal in all languages for translations of one item.
        language: tag.
        context: what stands before the choices; a tuple where every choice has its own (the two
            readings of a Winograd sentence).
        choices: what follows the context, without the delimiter.
        answer: index of the right choice.
        delimiter: between context and choice.
        cluster: what is resampled together (a document, a premise); empty is the item itself.
        group: a subject or source within the task; may be empty.
        tests: what a program that was generated is run with; empty for none.
        source: the sentence that is translated; empty for none.
    """

    id: str
    language: str
    context: str | tuple[str, ...]
    choices: tuple[str, ...]
    answer: int
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

    For published data in which ids repeat: the order of the rows tells the items apart.
    """
    seen: dict[str, int] = {}
    found = []
    for one in items:
        seen[one.id] = seen.get(one.id, 0) + 1
        again = seen[one.id] > 1
        found.append(replace(one, id=f"{one.id}#{seen[one.id]}") if again else one)
    return found
