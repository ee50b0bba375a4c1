"""MGSM: the number that answers a word problem (Shi et al. 2022), as a likelihood.

The prompt is the direct one of lm-evaluation-harness, without a chain of thought, which puts no
space before the answer.
"""

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, MissingTranslation, Source
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="mgsm",
    license="CC BY 4.0",
    home="https://github.com/google-research/url-nlp/tree/main/mgsm",
    hub="juletxara/mgsm",
    layouts=("mgsm_{config}.tsv",),
    columns=("question", "answer_number"),
)
# The tables hold the problems only; the hub has the exemplars as a split.
_HUB = Dataset(DATA.name, DATA.license, DATA.home, hub=DATA.hub)
EXEMPLARS = Dataset(DATA.name, DATA.license, DATA.home, layouts=("exemplars.json",))

# Before a question (with its space) and before an answer, as lm-evaluation-harness has them.
WORDS = {
    "bn": ("প্রশ্ন: ", "Answer:"),
    "de": ("Frage: ", "Antwort:"),
    "en": ("Question: ", "Answer:"),
    "es": ("Pregunta: ", "Respuesta:"),
    "fr": ("Question : ", "Réponse :"),
    "ja": ("問題： ", "Answer:"),
    "ru": ("Задача: ", "Answer:"),
    "sw": ("Swali: ", "Answer:"),
    "te": ("ప్రశ్న: ", "Answer:"),
    "th": ("โจทย์: ", "Answer:"),
    "zh-Hans": ("问题： ", "Answer:"),
}


def _item(tag: str, name: str, question: str, answer: int) -> Item:
    return Item(
        id=name,
        language=tag,
        context=f"{question}\n{WORDS[tag][1]}",
        choices=(str(answer),),
        answer=0,
        delimiter="",
    )


def _read(source: Source, tag: str) -> list[Item]:
    rows = source.rows(DATA, tag.removesuffix("-Hans"), "test")
    asked = [WORDS[tag][0] + row.text("question") for row in rows]
    return [
        _item(tag, str(number), question, row.whole("answer_number"))
        for number, (question, row) in enumerate(zip(asked, rows, strict=True))
    ]


def _pool(source: Source, tag: str) -> list[Item]:
    """The translated exemplars, whose questions have their word before them already."""
    config = tag.removesuffix("-Hans")
    if not source.has(EXEMPLARS, config, "train"):
        rows = source.rows(_HUB, config, "train")
        return [
            _item(tag, f"exemplar-{number}", row.text("question"), row.whole("answer_number"))
            for number, row in enumerate(rows, start=1)
        ]
    (row,) = source.rows(EXEMPLARS, config, "train")
    try:
        asked = row.data["MGSM_EXEMPLARS"].get(config)
        if asked is None:
            raise MissingTranslation(f"{row.where}: no exemplars in {config}")
        answers = row.data["EXEMPLAR_NUMBER_ANSWERS"]
        return [
            _item(tag, f"exemplar-{number}", asked[str(number)]["q"], answer)
            for number, answer in enumerate(answers, start=1)
        ]
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{row.where}: not MGSM's exemplars ({error!r})") from None


TASK = Task(
    name="mgsm",
    version=1,
    summary="likelihood of the number that answers a word problem",
    languages=tuple(WORDS),
    scorer="likelihood",
    read=_read,
    pool=_pool,
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
