"""XQuAD: the gold answer to a question on a paragraph (Artetxe et al. 2020), as a likelihood."""

from collections.abc import Iterator

from polylect.base import InputError, read_json
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source, read_table
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="xquad",
    license="CC BY-SA 4.0",
    home="https://github.com/google-deepmind/xquad",
    hub="google/xquad",
    layouts=("{config}.json",),
)

# Paragraph, question and answer, as lm-evaluation-harness has them.
_WORDS = {
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


def _questions(source: Source, tag: str) -> Iterator[Row]:
    """Rows of id, context, question and answer, from the nested original or the hub's flat rows."""
    config = f"xquad.{tag.removesuffix('-Hans')}"
    for path in source.files(DATA, config, "validation"):
        if path.suffix != ".json":
            for row in read_table(path):
                answers = row.data.get("answers") or {}
                found = (answers.get("text") or [None])[0]
                yield Row(row.where, {**row.data, "answer": found})
            continue
        try:
            for article in read_json(path)["data"]:
                for paragraph in article["paragraphs"]:
                    for one in paragraph["qas"]:
                        data = {"id": one["id"], "question": one["question"]}
                        data |= {"context": paragraph["context"]}
                        yield Row(str(path), data | {"answer": one["answers"][0]["text"]})
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"{path}: not in the form of SQuAD ({error!r})") from None


def _read(source: Source, tag: str) -> list[Item]:
    labels = _WORDS[tag]
    found, paragraph, number = [], "", -1
    for row in _questions(source, tag):
        if row.text("context") != paragraph:
            paragraph, number = row.text("context"), number + 1
        parts = zip(labels, (paragraph, row.text("question")), strict=False)
        asked = "\n\n".join(f"{label}: {text}" for label, text in parts)
        found.append(
            Item(
                id=row.text("id"),
                language=tag,
                context=f"{asked}\n\n{labels[2]}:",
                choices=(row.text("answer"),),
                answer=0,
                cluster=f"paragraph-{number}",
            )
        )
    return found


TASK = Task(
    name="xquad",
    version=1,
    summary="likelihood of the gold answer to a question on a paragraph",
    languages=tuple(_WORDS),
    scorer="likelihood",
    read=_read,
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
