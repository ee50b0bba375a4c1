"""MGSM: word problems in 11 languages (Shi et al. 2022), scored as a likelihood or generated.

``mgsm`` and ``mgsm_direct`` have the direct prompt of lm-evaluation-harness, which has no chain of
thought and puts no space before the answer. The two with a chain of thought write question and
steps as the exemplars of the dataset do, so that an example and the question after it look alike.
The last number of a generated answer is its result, in any script's digits and with the language's
separators; the share of answers without a number is a metric.
"""

from functools import partial

from polylect.base import InputError
from polylect.evals.answers import number_metrics
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, MissingTranslation, Source, config_of
from polylect.evals.tasks.task import Generation, Task

DATA = Dataset(
    name="mgsm",
    license="CC BY 4.0",
    home="https://github.com/google-research/url-nlp/tree/main/mgsm",
    hub="juletxara/mgsm",
    layouts=("mgsm_{config}.tsv",),
    columns=("question", "answer_number"),
)
# As first published, tables hold the problems only; on the hub, the exemplars are a split.
_HUB = Dataset(DATA.name, DATA.license, DATA.home, hub=DATA.hub)
_EXEMPLARS = Dataset(DATA.name, DATA.license, DATA.home, layouts=("exemplars.json",))

# Labels of a question (with its space), of a direct answer, as in lm-evaluation-harness, and of a
# chain of thought, as in the exemplars.
_LABELS = {
    "bn": ("প্রশ্ন: ", "Answer:", "ধাপে ধাপে উত্তর:"),
    "de": ("Frage: ", "Antwort:", "Schritt-für-Schritt-Antwort:"),
    "en": ("Question: ", "Answer:", "Step-by-Step Answer:"),
    "es": ("Pregunta: ", "Respuesta:", "Respuesta paso a paso:"),
    "fr": ("Question : ", "Réponse :", "Réponse étape par étape :"),
    "ja": ("問題： ", "Answer:", "ステップごとの答え："),
    "ru": ("Задача: ", "Answer:", "Пошаговое решение:"),
    "sw": ("Swali: ", "Answer:", "Jibu la Hatua kwa Hatua:"),
    "te": ("ప్రశ్న: ", "Answer:", "దశలవారీగా సమాధానం:"),
    "th": ("โจทย์: ", "Answer:", "คำตอบทีละขั้นตอน:"),
    "zh-Hans": ("问题： ", "Answer:", "逐步解答："),
}
_FULL_WIDTH_COLON = "："  # no space after it


def _item(tag: str, id: str, question: str, answer: str, delimiter: str = "") -> Item:
    return Item(id=id, language=tag, context=question, choices=(answer,), delimiter=delimiter)


def _problems(
    source: Source, tag: str, question: str, answer: str, delimiter: str = ""
) -> list[Item]:
    """The problems between the labels of question and answer."""
    rows = source.rows(DATA, config_of(tag), "test")
    return [
        _item(tag, str(number), f"{question}{row.text('question')}\n{answer}",
              str(row.whole("answer_number")), delimiter)
        for number, row in enumerate(rows)
    ]  # fmt: skip


def _exemplars(source: Source, tag: str, thoughts: str) -> list[tuple[str, str, str, str]]:
    """Id, question in ``tag``, chain of thought in ``thoughts``, and number of each exemplar."""
    config = config_of(tag)
    (row,) = source.rows(_EXEMPLARS, config, "train")
    try:
        questions = row.data["MGSM_EXEMPLARS"].get(config)
        if questions is None:
            raise MissingTranslation(f"{row.where}: no exemplars in {config}")
        solutions = row.data["MGSM_EXEMPLARS"][config_of(thoughts)]
        return [
            (f"exemplar-{i}", questions[str(i)]["q"], solutions[str(i)]["a"], str(answer))
            for i, answer in enumerate(row.data["EXEMPLAR_NUMBER_ANSWERS"], start=1)
        ]
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{row.where}: not MGSM's exemplars ({error!r})") from None


def _read(source: Source, tag: str) -> list[Item]:
    question, answer, _ = _LABELS[tag]
    return _problems(source, tag, question, answer)


def _pool(source: Source, tag: str) -> list[Item]:
    """The exemplars, whose questions begin with their label."""
    if source.has(_EXEMPLARS, config_of(tag), "train"):
        exemplars = [
            (id, question, answer) for id, question, _, answer in _exemplars(source, tag, tag)
        ]
    else:
        exemplars = [
            (f"exemplar-{number}", row.text("question"), str(row.whole("answer_number")))
            for number, row in enumerate(source.rows(_HUB, config_of(tag), "train"), start=1)
        ]
    return [
        _item(tag, id, f"{question}\n{_LABELS[tag][1]}", answer)
        for id, question, answer in exemplars
    ]


def _space_after(label: str) -> str:
    return "" if label.endswith(_FULL_WIDTH_COLON) else " "


def _read_steps(source: Source, tag: str, thoughts: str = "") -> list[Item]:
    """The problems, to be solved by a chain of thought in ``thoughts``; empty is in ``tag``."""
    question, steps = _LABELS[tag][0].strip(), _LABELS[thoughts or tag][2]
    question += _space_after(question)
    return _problems(source, tag, question, steps, _space_after(steps))


def _pool_steps(source: Source, tag: str, thoughts: str = "") -> list[Item]:
    """The exemplars, questions in ``tag``, chains of thought in ``thoughts``; empty is ``tag``."""
    steps = _LABELS[thoughts or tag][2]
    items = []
    for id, question, solution, _ in _exemplars(source, tag, thoughts or tag):
        if not solution.startswith(steps):
            raise InputError(
                f"mgsm ({tag}): the answer of {id} does not begin with {steps!r}",
                f"get the exemplars from {DATA.home}",
            )
        answer = solution.removeprefix(steps).lstrip(" ")
        items.append(_item(tag, id, f"{question}\n{steps}", answer, _space_after(steps)))
    return items


def _stop(tag: str) -> tuple[str, ...]:
    """The label of a question: the model goes on with a problem of its own."""
    return (_LABELS[tag][0].strip(), "</s>", "<|im_end|>")


TASK = Task(
    name="mgsm",
    summary="likelihood of the number that answers a word problem",
    languages=tuple(_LABELS),
    scorer="likelihood",
    read=_read,
    pool=_pool,
    data=DATA,
)
DIRECT = TASK.generated(
    "mgsm_direct",
    "word problems: the number that the model writes at once",
    Generation(max_new_tokens=32, stop=_stop, score=number_metrics),
    version=2,
)
NATIVE = TASK.generated(
    "mgsm_native_cot",
    "word problems: the last number of a chain of thought in the language",
    Generation(max_new_tokens=512, stop=_stop, score=number_metrics),
    version=2,
    read=_read_steps,
    pool=_pool_steps,
)
ENGLISH = TASK.generated(
    "mgsm_en_cot",
    "word problems: the last number of a chain of thought in English",
    Generation(max_new_tokens=512, stop=_stop, score=partial(number_metrics, language="en")),
    version=2,
    read=partial(_read_steps, thoughts="en"),
    pool=partial(_pool_steps, thoughts="en"),
)
