"""Labelled rows of datasets at hand, for the templates of instructions.

They are the same data as the tasks': what is trained on such rows is not evaluated on those tasks.
"""

from collections.abc import Iterator
from typing import Any

from polylect.base import check_known
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.tasks import _ntrex, closed_book, xquad

KINDS = {
    "translation": "ntrex", "headline": "ntrex", "question": "xquad", "choice": "xquad",
}  # fmt: skip
"""The dataset of each kind of rows; a kind is called as the set of templates that takes it."""
_HEADLINE_SENTENCES = 4
"""Sentences of an article after its headline; more would be cut by a small model's context."""

Rows = Iterator[tuple[str, dict[str, Any]]]


def labelled_rows(kind: str, source: Source, language: str) -> Rows:
    """The rows of a kind in a language, each with its place; none where it has no data.

    ``translation`` has english and text (a sentence of NTREX), ``headline`` text and title (an
    article of NTREX), ``question`` context, question and answer (of XQuAD), ``choice`` question,
    choices and label (answers to other questions of XQuAD). All have id, language and source.

    Args:
        kind: of ``KINDS``.
        source: the datasets.
        language: tag.

    Raises:
        InputError: no such kind, or its data are not at hand or are broken.
    """
    check_known(kind, KINDS, f"no kind of labelled rows {kind!r}")
    languages = _ntrex.LANGUAGES if KINDS[kind] == "ntrex" else xquad.TASK.languages
    if language not in languages:
        return
    read = {
        "translation": _translations, "headline": _headlines, "question": _questions,
        "choice": _choices,
    }[kind]  # fmt: skip
    try:
        for row in read(source, language):
            shared = {"language": language, "source": f"{KINDS[kind]}-{kind}"}
            yield f"{KINDS[kind]} ({language}) {row['id']}", row | shared
    except MissingTranslation:
        return


def _translations(source: Source, tag: str) -> Iterator[dict[str, Any]]:
    if tag == "en":
        return
    english, documents = _ntrex.sentences(source, "en")
    texts, _ = _ntrex.sentences(source, tag)
    for document, (number,) in _ntrex.spread(documents, 1, 1):
        yield {"id": str(number), "english": english[number], "text": texts[number],
               "document": document}  # fmt: skip


def _headlines(source: Source, tag: str) -> Iterator[dict[str, Any]]:
    texts, documents = _ntrex.sentences(source, tag)
    space = "" if tag in _ntrex.UNSPACED else " "
    for document, numbers in documents:
        if len(numbers) > 1:
            body = space.join(texts[number] for number in numbers[1 : 1 + _HEADLINE_SENTENCES])
            yield {"id": document, "title": texts[numbers[0]], "text": body}


def _questions(source: Source, tag: str) -> Iterator[dict[str, Any]]:
    for row, cluster in xquad.rows_with_paragraph(source, tag):
        yield {"id": row.text("id"), "context": row.text("context"), "answer": row.text("answer"),
               "question": row.text("question"), "document": cluster}  # fmt: skip


def _choices(source: Source, tag: str) -> Iterator[dict[str, Any]]:
    items = closed_book.CHOICE.items(source, tag)
    questions = xquad.rows_with_paragraph(source, tag)
    for item, (row, cluster) in zip(items, questions, strict=True):
        yield {"id": item.id, "question": row.text("question"), "choices": list(item.choices),
               "label": item.answer, "document": cluster}  # fmt: skip
