"""Next sentence: which of four sentences continues two of a news article (ours, on NTREX).

The items are the same sentences in every language. A wrong choice is a sentence from within
another article, never one of its first two: the headline would give it away.
"""

from functools import lru_cache

from polylect.base import generator
from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks._ntrex import DATA, LANGUAGES, UNSPACED, Documents, sentences, spread
from polylect.evals.tasks.task import Task

_NUM_CHOICES = 4


@lru_cache(maxsize=1)
def _plan(documents: Documents) -> tuple[tuple[str, tuple[int, ...], tuple[int, ...], int], ...]:
    """Document, its three sentences, the choices' sentences, and which of those is right."""
    plan = []
    for name, numbers in spread(documents, step=3, length=3):
        random = generator(0, "next_sentence", numbers[0])
        others = [rest[2:] for other, rest in documents if other != name and len(rest) > 2]
        picked = random.choice(len(others), _NUM_CHOICES - 1, replace=False)
        choices = [int(random.choice(others[index])) for index in picked]
        answer = int(random.integers(_NUM_CHOICES))
        choices.insert(answer, numbers[2])
        plan.append((name, numbers, tuple(choices), answer))
    return tuple(plan)


def _read(source: Source, tag: str) -> list[Item]:
    texts, documents = sentences(source, tag)
    space = "" if tag in UNSPACED else " "
    return [
        Item(
            id=str(numbers[2]),
            language=tag,
            context=space.join(texts[number] for number in numbers[:2]),
            choices=tuple(texts[number] for number in choices),
            answer=answer,
            delimiter=space,
            cluster=name,
        )
        for name, numbers, choices, answer in _plan(documents)
    ]


TASK = Task(
    name="next_sentence",
    version=2,
    summary="the sentence that goes on a news article, four choices",
    languages=tuple(LANGUAGES),
    scorer="choice",
    read=_read,
    data=DATA,
)
