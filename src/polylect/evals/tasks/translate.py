"""Translation, sentence by sentence, on NTREX-128 and FLORES: chrF++ and spBLEU through sacrebleu.

The prompt names both languages before their sentences, as lm-evaluation-harness's FLORES tasks do;
without examples it is zero-shot. NTREX's sentences come one document after another is begun, so
that the first items are of many documents; a document (of FLORES a page) is a cluster.
"""

from collections.abc import Callable, Sequence

from polylect.base import InputError
from polylect.base import language as language_of
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Source
from polylect.evals.tasks import _flores, _ntrex
from polylect.evals.tasks.task import Generation, Task
from polylect.evals.translation import corpus_scores, sentence_metrics

Order = Sequence[tuple[str, int]]
"""Document and number (from 0) of every sentence, in the order in which they are asked."""


def _ntrex_texts(source: Source, tag: str) -> tuple[list[str], list[str], Order]:
    english, documents = _ntrex.sentences(source, "en")
    other, _ = _ntrex.sentences(source, tag)
    return english, other, [(name, one) for name, (one,) in _ntrex.spread(documents, 1, 1)]


def _flores_texts(source: Source, tag: str) -> tuple[list[str], list[str], Order]:
    english, pages = _flores.sentences(source, "en")
    other, _ = _flores.sentences(source, tag)
    if len(other) != len(english):
        raise InputError(
            f"flores: {len(other)} sentences in {tag}, {len(english)} in English",
            f"get both from {_flores.DATA.home}",
        )
    return english, other, [(page, number) for number, page in enumerate(pages)]


_Texts = Callable[[Source, str], tuple[list[str], list[str], Order]]


def _read(texts: _Texts, source: Source, tag: str, *, into_english: bool) -> list[Item]:
    english, other, order = texts(source, tag)
    names, sides = ("English", language_of(tag).name), (english, other)
    if into_english:
        names, sides = names[::-1], sides[::-1]
    return [
        Item(
            id=str(number),
            language=tag,
            context=f"{names[0]} sentence: {sides[0][number]}\n{names[1]} sentence:",
            choices=(sides[1][number],),
            answer=0,
            cluster=document,
            source=sides[0][number],
        )
        for document, number in order
    ]


def _task(
    name: str,
    summary: str,
    data: Dataset,
    tags: Sequence[str],
    texts: _Texts,
    *,
    into_english: bool,
) -> Task:
    return Task(
        name=name,
        version=1,
        summary=summary,
        languages=tuple(tag for tag in tags if tag != "en"),
        scorer="generation",
        read=lambda source, tag: _read(texts, source, tag, into_english=into_english),
        license=data.license,
        home=data.home,
        hub=data.hub,
        generation=Generation(
            max_new_tokens=256,
            stop=lambda _: ("\n",),
            score=sentence_metrics,
            corpus=corpus_scores,
        ),
    )


FROM_ENGLISH = _task(
    "translate_from_english", "news from English into the language: chrF++, spBLEU",
    _ntrex.DATA, tuple(_ntrex.LANGUAGES), _ntrex_texts, into_english=False,
)  # fmt: skip
INTO_ENGLISH = _task(
    "translate_into_english", "news from the language into English: chrF++, spBLEU",
    _ntrex.DATA, tuple(_ntrex.LANGUAGES), _ntrex_texts, into_english=True,
)  # fmt: skip
FLORES_FROM_ENGLISH = _task(
    "flores_from_english", "FLORES from English into the language: chrF++, spBLEU",
    _flores.DATA, tuple(_flores.LANGUAGES), _flores_texts, into_english=False,
)  # fmt: skip
FLORES_INTO_ENGLISH = _task(
    "flores_into_english", "FLORES from the language into English: chrF++, spBLEU",
    _flores.DATA, tuple(_flores.LANGUAGES), _flores_texts, into_english=True,
)  # fmt: skip
