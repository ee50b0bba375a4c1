"""Translation, sentence by sentence, on NTREX-128 and FLORES: chrF++ and spBLEU through sacrebleu.

The prompt names both languages before their sentences, as lm-evaluation-harness's FLORES tasks do;
without examples it is zero-shot. NTREX's documents are interleaved, so that the first items are of
many documents. A document (in FLORES a page) is a cluster.
"""

from collections.abc import Callable, Iterable, Sequence

from polylect.base import InputError
from polylect.base import language as language_of
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Source
from polylect.evals.tasks import _flores, _ntrex
from polylect.evals.tasks.task import Generation, Task
from polylect.evals.translation import corpus_scores, sentence_metrics

Parallel = tuple[list[str], list[str], Sequence[tuple[str, int]]]
"""English sentences, those of the other language, and the order in which they are asked: document
and number (from 0) of every sentence."""


def _ntrex_sentences(source: Source, tag: str) -> Parallel:
    english, documents = _ntrex.sentences(source, "en")
    other, _ = _ntrex.sentences(source, tag)
    order = [(document, number) for document, (number,) in _ntrex.spread(documents, 1, 1)]
    return english, other, order


def _flores_sentences(source: Source, tag: str) -> Parallel:
    english, pages = _flores.sentences(source, "en")
    other, _ = _flores.sentences(source, tag)
    if len(other) != len(english):
        raise InputError(
            f"flores: {len(other)} sentences in {tag}, {len(english)} in English",
            f"get both from {_flores.DATA.home}",
        )
    return english, other, [(page, number) for number, page in enumerate(pages)]


def _task(
    name: str,
    summary: str,
    data: Dataset,
    languages: Iterable[str],
    sentences: Callable[[Source, str], Parallel],
    *,
    into_english: bool,
) -> Task:
    def read(source: Source, tag: str) -> list[Item]:
        english, other, order = sentences(source, tag)
        given, wanted = (english, "English"), (other, language_of(tag).name)
        if into_english:
            given, wanted = wanted, given
        return [
            Item(
                id=str(number),
                language=tag,
                context=f"{given[1]} sentence: {given[0][number]}\n{wanted[1]} sentence:",
                choices=(wanted[0][number],),
                cluster=document,
                source=given[0][number],
            )
            for document, number in order
        ]

    return Task(
        name=name,
        summary=summary,
        languages=tuple(tag for tag in languages if tag != "en"),
        scorer="generation",
        read=read,
        data=data,
        generation=Generation(
            max_new_tokens=256,
            stop=lambda _: ("\n",),
            score=sentence_metrics,
            corpus=corpus_scores,
            needs=("sacrebleu", "translation"),
        ),
    )


_NTREX = _ntrex.DATA, _ntrex.LANGUAGES, _ntrex_sentences
_FLORES = _flores.DATA, _flores.LANGUAGES, _flores_sentences
FROM_ENGLISH = _task(
    "translate_from_english",
    "news from English into the language: chrF++, spBLEU",
    *_NTREX,
    into_english=False,
)
INTO_ENGLISH = _task(
    "translate_into_english",
    "news from the language into English: chrF++, spBLEU",
    *_NTREX,
    into_english=True,
)
FLORES_FROM_ENGLISH = _task(
    "flores_from_english",
    "FLORES from English into the language: chrF++, spBLEU",
    *_FLORES,
    into_english=False,
)
FLORES_INTO_ENGLISH = _task(
    "flores_into_english",
    "FLORES from the language into English: chrF++, spBLEU",
    *_FLORES,
    into_english=True,
)
