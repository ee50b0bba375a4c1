"""Translation choice: which of four sentences translates a given one (ours, on NTREX).

The wrong choices are sentences of the same article, so that its subject does not give the right one
away; the same in every language but for the few that a language writes alike. One task goes from
English into a language, the other from the language into English.
"""

from functools import lru_cache

from polylect.base import LANGUAGES, generator
from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks import _ntrex
from polylect.evals.tasks._ntrex import DATA, Documents, sentences, spread
from polylect.evals.tasks.task import Task

_NUM_CHOICES = 4
_TAGS = tuple(tag for tag in _ntrex.LANGUAGES if tag != "en")


@lru_cache(maxsize=1)
def _plan(documents: Documents) -> tuple[tuple[str, int, tuple[int, ...], int], ...]:
    """Document, sentence, the others of its document in an order of chance, and the answer."""
    members = dict(documents)
    found = []
    for name, (number,) in spread(documents, step=1, length=1):
        others = [one for one in members[name] if one != number]
        if len(others) < _NUM_CHOICES - 1:
            continue  # an article of fewer than four sentences has no items
        random = generator(0, "translation_choice", number)
        order = tuple(int(one) for one in random.permutation(others))
        found.append((name, number, order, int(random.integers(_NUM_CHOICES))))
    return tuple(found)


def _choices(texts: list[str], number: int, order: tuple[int, ...], answer: int) -> tuple[str, ...]:
    """The right text at its place among the first others that are not written alike."""
    right = texts[number]
    wrong = [one for one in dict.fromkeys(texts[other] for other in order) if one != right]
    return (*wrong[:answer], right, *wrong[answer : _NUM_CHOICES - 1])


def _read(source: Source, tag: str, into_english: bool) -> list[Item]:
    theirs, documents = sentences(source, tag)
    english, _ = sentences(source, "en")
    given, wanted = (theirs, english) if into_english else (english, theirs)
    names = ("English", LANGUAGES[tag].endonym)
    known, asked = names[::-1] if into_english else names
    return [
        Item(
            id=str(number),
            language=tag,
            context=f"{known}: {given[number]}\n{asked}:",
            choices=_choices(wanted, number, order, answer),
            answer=answer,
            cluster=name,
        )
        for name, number, order, answer in _plan(documents)
    ]


TASK = Task(
    name="translation_choice",
    version=2,
    summary="the translation of an English sentence, four choices of one article",
    languages=_TAGS,
    scorer="choice",
    read=lambda source, tag: _read(source, tag, into_english=False),
    license=DATA.license,
    home=DATA.home,
)
INTO_ENGLISH = Task(
    name="translation_choice_english",
    version=2,
    summary="the English translation of a sentence, four choices of one article",
    languages=_TAGS,
    scorer="choice",
    read=lambda source, tag: _read(source, tag, into_english=True),
    license=DATA.license,
    home=DATA.home,
)
