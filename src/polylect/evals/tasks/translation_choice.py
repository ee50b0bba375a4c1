"""Translation choice: which of four sentences translates a given one (ours, on NTREX).

Wrong choices are sentences of the same article, so that the subject does not give the answer away.
They are the same in every language, but for the few that a language writes alike. One task goes
from English into a language, the other from the language into English.
"""

from functools import lru_cache

from polylect.base import described, generator
from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks import _ntrex
from polylect.evals.tasks._ntrex import DATA, Documents, sentences, spread
from polylect.evals.tasks.task import Task

_NUM_CHOICES = 4


@lru_cache(maxsize=1)
def _plan(documents: Documents) -> tuple[tuple[str, int, tuple[int, ...], int], ...]:
    """Document, sentence, the others of the document in random order, and the answer's index."""
    members = dict(documents)
    plan = []
    for name, (number,) in spread(documents, step=1, length=1):
        others = [other for other in members[name] if other != number]
        if len(others) < _NUM_CHOICES - 1:
            continue  # an article of fewer than four sentences has no items
        random = generator(0, "translation_choice", number)
        order = tuple(random.permutation(others).tolist())
        plan.append((name, number, order, int(random.integers(_NUM_CHOICES))))
    return tuple(plan)


def _choices(texts: list[str], number: int, order: tuple[int, ...], answer: int) -> tuple[str, ...]:
    """The right text at index ``answer``, among the first other texts that differ."""
    right = texts[number]
    wrong = [text for text in dict.fromkeys(texts[other] for other in order) if text != right]
    return (*wrong[:answer], right, *wrong[answer : _NUM_CHOICES - 1])


def _task(name: str, summary: str, *, into_english: bool) -> Task:
    def read(source: Source, tag: str) -> list[Item]:
        texts, documents = sentences(source, tag)
        english, _ = sentences(source, "en")
        given = english, "English"
        wanted = texts, described(tag).endonym
        if into_english:
            given, wanted = wanted, given
        return [
            Item(
                id=str(number),
                language=tag,
                context=f"{given[1]}: {given[0][number]}\n{wanted[1]}:",
                choices=_choices(wanted[0], number, order, answer),
                answer=answer,
                cluster=document,
            )
            for document, number, order, answer in _plan(documents)
        ]

    languages = tuple(tag for tag in _ntrex.LANGUAGES if tag != "en")
    return Task(name, summary, languages, "choice", read, version=2, data=DATA)


TASK = _task(
    "translation_choice",
    "the translation of an English sentence, four choices of one article",
    into_english=False,
)
INTO_ENGLISH = _task(
    "translation_choice_english",
    "the English translation of a sentence, four choices of one article",
    into_english=True,
)
