"""Bits per byte and per sentence on parallel news (ours, on NTREX); each sentence by itself."""

from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks._ntrex import DATA, LANGUAGES, sentences, spread
from polylect.evals.tasks.task import Task


def _read(source: Source, tag: str) -> list[Item]:
    texts, documents = sentences(source, tag)
    return [
        Item(
            id=str(number),
            language=tag,
            context="",
            choices=(texts[number],),
            delimiter="",
            cluster=name,
        )
        for name, (number,) in spread(documents, step=1, length=1)
    ]


TASK = Task(
    name="ntrex_bits",
    version=2,
    summary="bits of parallel sentences of news",
    languages=tuple(LANGUAGES),
    scorer="likelihood",
    read=_read,
    max_shots=0,
    data=DATA,
)
