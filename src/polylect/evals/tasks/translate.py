"""Translation of news, sentence by sentence, on NTREX-128: chrF++ and spBLEU through sacrebleu.

The prompt names both languages before their sentences, as lm-evaluation-harness's FLORES tasks do;
without examples it is zero-shot. Sentences come one document after another is begun, so that the
first items are of many documents; a document is a cluster.
"""

from polylect.base import language as language_of
from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks._ntrex import DATA, LANGUAGES, sentences, spread
from polylect.evals.tasks.task import Generation, Task
from polylect.evals.translation import corpus_scores, sentence_metrics

_OTHERS = tuple(tag for tag in LANGUAGES if tag != "en")


def _read(source: Source, tag: str, *, into_english: bool) -> list[Item]:
    english, documents = sentences(source, "en")
    other, _ = sentences(source, tag)
    names = "English", language_of(tag).name
    texts = english, other
    if into_english:
        names, texts = names[::-1], texts[::-1]
    found = []
    for document, (number,) in spread(documents, 1, 1):
        found.append(
            Item(
                id=str(number),
                language=tag,
                context=f"{names[0]} sentence: {texts[0][number]}\n{names[1]} sentence:",
                choices=(texts[1][number],),
                answer=0,
                cluster=document,
            )
        )
    return found


def _task(name: str, summary: str, *, into_english: bool) -> Task:
    return Task(
        name=name,
        version=1,
        summary=summary,
        languages=_OTHERS,
        scorer="generation",
        read=lambda source, tag: _read(source, tag, into_english=into_english),
        licence=DATA.licence,
        home=DATA.home,
        generation=Generation(
            max_new_tokens=256,
            stop=lambda _: ("\n",),
            score=sentence_metrics,
            corpus=corpus_scores,
        ),
    )


FROM_ENGLISH = _task(
    "translate_from_english", "news from English into the language: chrF++, spBLEU",
    into_english=False,
)  # fmt: skip
INTO_ENGLISH = _task(
    "translate_into_english", "news from the language into English: chrF++, spBLEU",
    into_english=True,
)  # fmt: skip
