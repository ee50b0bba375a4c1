"""XQuAD: a short answer to a question on a paragraph (Artetxe et al. 2020).

``xquad`` scores the likelihood of the gold answer, ``xquad_generate`` a generated one. Prompt and
stop text are those of lm-evaluation-harness's ``xquad``; F1 and exact match are SQuAD's with
MLQA's normalizer of each language.
"""

from collections.abc import Iterator

from polylect.base import InputError, read_json
from polylect.evals.answers import span_metrics
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source, config_of, read_table
from polylect.evals.tasks.task import Generation, Task

DATA = Dataset(
    name="xquad",
    license="CC BY-SA 4.0",
    home="https://github.com/google-deepmind/xquad",
    hub="google/xquad",
    layouts=("{config}.json",),
)

# Labels of paragraph, question and answer, as in lm-evaluation-harness.
_LABELS = {
    "ar": ("سيا", "سؤال", "إجابة"),
    "de": ("Kontext", "Frage", "Antwort"),
    "el": ("Συμφραζόμενα", "Ερώτηση", "Απάντηση"),
    "en": ("Context", "Question", "Answer"),
    "es": ("Contexto", "Pregunta", "Respuesta"),
    "hi": ("प्रसंग", "सवाल", "उत्तर"),
    "ro": ("Context", "Întrebare", "Răspuns"),
    "ru": ("Контекст", "Вопрос", "Ответ"),
    "th": ("บริบท", "คำถาม", "คำตอบ"),
    "tr": ("Bağlam", "Soru", "Cevap"),
    "vi": ("Bối cảnh", "Câu hỏi", "Trả lời"),
    "zh-Hans": ("语境", "问题", "回答"),
}


def _rows(source: Source, tag: str) -> Iterator[Row]:
    """Rows of id, context, question and answer, from the nested original or the hub's flat rows."""
    config = f"xquad.{config_of(tag)}"
    for path in source.files(DATA, config, "validation"):
        if path.suffix != ".json":
            for row in read_table(path):
                texts = (row.data.get("answers") or {}).get("text") or [None]
                yield Row(row.where, {**row.data, "answer": texts[0]})
            continue
        try:
            for article in read_json(path)["data"]:
                for paragraph in article["paragraphs"]:
                    for question in paragraph["qas"]:
                        answer = question["answers"][0]["text"]
                        shared = {"context": paragraph["context"], "answer": answer}
                        yield Row(str(path), {**question, **shared})
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"{path}: not in the form of SQuAD ({error!r})") from None


def rows_with_paragraph(source: Source, tag: str) -> Iterator[tuple[Row, str]]:
    """The questions of a language, and a name of the paragraph of each: ``paragraph-N`` from 0.

    Raises:
        InputError: the data are not at hand, or not in the form of SQuAD.
    """
    paragraph, number = "", -1
    for row in _rows(source, tag):
        if row.text("context") != paragraph:
            paragraph, number = row.text("context"), number + 1
        yield row, f"paragraph-{number}"


def questions(source: Source, tag: str, *, with_paragraph: bool = True) -> list[Item]:
    """The questions of a language with their gold answers; a paragraph's are one cluster.

    Raises:
        InputError: the data are not at hand, or not in the form of SQuAD.
    """
    context, question, answer = _LABELS[tag]
    items = []
    for row, paragraph in rows_with_paragraph(source, tag):
        before = f"{context}: {row.text('context')}\n\n" if with_paragraph else ""
        items.append(
            Item(
                id=row.text("id"),
                language=tag,
                context=f"{before}{question}: {row.text('question')}\n\n{answer}:",
                choices=(row.text("answer"),),
                cluster=paragraph,
            )
        )
    return items


TASK = Task(
    name="xquad",
    summary="likelihood of the gold answer to a question on a paragraph",
    languages=tuple(_LABELS),
    scorer="likelihood",
    read=questions,
    data=DATA,
)
GENERATE = TASK.generated(
    "xquad_generate",
    "the answer that the model writes to a question on a paragraph: F1, exact match",
    Generation(max_new_tokens=64, stop=lambda _: ("\n",), score=span_metrics),
)
