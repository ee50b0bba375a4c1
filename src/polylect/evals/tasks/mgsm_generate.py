"""MGSM generated (Shi et al. 2022): direct, with a chain of thought in the language, or in English.

Question, answer and step words are those of the exemplars that come with the data, so that an
example and the question after it look alike. The last number of an answer is its result, in any
script's digits and with the language's separators; the share of answers without one is told.
"""

from collections.abc import Mapping

from polylect.base import InputError
from polylect.evals.answers import number_metrics
from polylect.evals.items import Item
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.tasks.mgsm import DATA, EXEMPLARS, TASK, WORDS
from polylect.evals.tasks.task import Generation, Reader, Task

# Before a chain of thought, as the exemplars have it.
STEPS = {
    "bn": "ধাপে ধাপে উত্তর:",
    "de": "Schritt-für-Schritt-Antwort:",
    "en": "Step-by-Step Answer:",
    "es": "Respuesta paso a paso:",
    "fr": "Réponse étape par étape :",
    "ja": "ステップごとの答え：",
    "ru": "Пошаговое решение:",
    "sw": "Jibu la Hatua kwa Hatua:",
    "te": "దశలవారీగా సమాధానం:",
    "th": "คำตอบทีละขั้นตอน:",
    "zh-Hans": "逐步解答：",
}
_UNSPACED = ("：",)
_ENDS = ("</s>", "<|im_end|>")


def _stop(tag: str) -> tuple[str, ...]:
    """Where the model goes on with a question of its own."""
    return (WORDS[tag][0].strip(), *_ENDS)


def _item(tag: str, steps: str, name: str, question: str, answer: str) -> Item:
    return Item(
        id=name,
        language=tag,
        context=f"{question}\n{steps}",
        choices=(answer,),
        answer=0,
        delimiter="" if steps.endswith(_UNSPACED) else " ",
    )


def _read(source: Source, tag: str, steps: str) -> list[Item]:
    rows = source.rows(DATA, tag.removesuffix("-Hans"), "test")
    # The exemplars put no space after a full-width colon.
    word = WORDS[tag][0].strip()
    space = "" if word.endswith(_UNSPACED) else " "
    return [
        _item(tag, steps, str(number), f"{word}{space}{row.text('question')}",
              str(row.whole("answer_number")))
        for number, row in enumerate(rows)
    ]  # fmt: skip


def _pool(source: Source, tag: str, thoughts: str) -> list[Item]:
    """The exemplars, questions in the language, chains of thought in the language or in English."""
    config, own = tag.removesuffix("-Hans"), thoughts.removesuffix("-Hans")
    (row,) = source.rows(EXEMPLARS, config, "train")
    steps = STEPS[thoughts]
    try:
        everything: Mapping[str, Mapping[str, Mapping[str, str]]] = row.data["MGSM_EXEMPLARS"]
        if config not in everything:
            raise MissingTranslation(f"{row.where}: no exemplars in {config}")
        found = []
        for number, one in everything[config].items():
            thought = everything[own][number]["a"]
            if not thought.startswith(steps):
                raise InputError(f"{row.where}: an answer does not begin with {steps!r}")
            text = thought.removeprefix(steps).lstrip(" ")
            found.append(_item(tag, steps, f"exemplar-{number}", one["q"], text))
        return found
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{row.where}: not MGSM's exemplars ({error!r})") from None


def _task(
    name: str, summary: str, read: Reader, pool: Reader | None, generation: Generation
) -> Task:
    return Task(
        name=name,
        version=1,
        summary=summary,
        languages=tuple(WORDS),
        scorer="generation",
        read=read,
        pool=pool,
        license=DATA.license,
        home=DATA.home,
        hub=DATA.hub,
        generation=generation,
    )


DIRECT = _task(
    "mgsm_direct",
    "word problems: the number that the model writes at once",
    TASK.read,
    TASK.pool,
    Generation(max_new_tokens=32, stop=_stop, score=number_metrics),
)
NATIVE = _task(
    "mgsm_native_cot",
    "word problems: the last number of a chain of thought in the language",
    lambda source, tag: _read(source, tag, STEPS[tag]),
    lambda source, tag: _pool(source, tag, tag),
    Generation(max_new_tokens=512, stop=_stop, score=number_metrics),
)
ENGLISH = _task(
    "mgsm_en_cot",
    "word problems: the last number of a chain of thought in English",
    lambda source, tag: _read(source, tag, STEPS["en"]),
    lambda source, tag: _pool(source, tag, "en"),
    Generation(
        max_new_tokens=512,
        stop=_stop,
        score=lambda item, answer: number_metrics(item, answer, "en"),
    ),
)
