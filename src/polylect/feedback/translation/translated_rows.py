"""Rows of every kind in another language: which of their texts are translated, and what comes out.

Of a turn its text and reasoning are translated; results and calls of tools, and documents, stay as
they are, and so does a turn that says it is in a language other than its row's; both are counted.
Ids stay: translations of one prompt share theirs (docs/guides/translation.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from polylect.base import InputError, Ledger, plain
from polylect.rows import (
    Conversation,
    Generated,
    Message,
    PooledAnswer,
    Preference,
    Prompt,
    id_cell,
    read_conversations,
    read_dicts,
    read_preferences,
    read_prompts,
    read_rows,
)

RowKind = Literal["prompts", "conversations", "preferences", "answers"]
Row = Prompt | Conversation | Preference | PooledAnswer
TRANSLATED = "translated"
"""The origin of a row that was translated."""
OTHER_TURN = "kept as it is: a turn in another language than its row's"
TOOLS = "kept as they are: results and calls of tools, and documents"


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        kind: what they are.
        rows: in the file's order.
    """

    kind: RowKind
    rows: Sequence[Row]


def read_any_rows(path: Path, default_language: str, ledger: Ledger) -> Rows:
    """The rows of a file, of the kind that its first row's columns say.

    ``chosen`` and ``rejected`` make preferences, ``answer`` with ``teacher`` or ``model`` answers,
    ``completion`` or messages that end with the assistant's conversations, others prompts.

    Raises:
        InputError: a row does not fit.
    """
    kind = _kind_of(path)
    if kind == "preferences":
        return Rows(kind, read_preferences(path, default_language, ledger))
    if kind == "conversations":
        conversations = read_conversations(path, default_language, ledger)
        # Fine-tuning needs no ids, so that its reader leaves them out; translations share theirs.
        ids = {place: id_cell(row, place) for place, row in read_dicts(path)}
        return Rows(kind, [replace(row, id=ids[row.place]) for row in conversations])
    if kind == "prompts":
        return Rows(kind, read_prompts(path, default_language, ledger=ledger))
    first = next(read_dicts(path))[1]
    if "teacher" in first:
        return Rows(kind, list(read_rows(path, PooledAnswer)))
    return Rows(kind, [PooledAnswer.of(row) for row in read_rows(path, Generated)])


def _kind_of(path: Path) -> RowKind:
    row = next((row for _, row in read_dicts(path)), None)
    if row is None:
        raise InputError(f"{path}: no row in it", "give prompts, conversations, answers or pairs")
    if "chosen" in row and "rejected" in row:
        return "preferences"
    if "answer" in row and ("teacher" in row or "model" in row):
        return "answers"
    messages = row.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else {}
    is_answered = isinstance(last, Mapping) and last.get("role") == "assistant"
    return "conversations" if "completion" in row or is_answered else "prompts"


def texts_of(row: Row, ledger: Ledger | None = None) -> list[str]:
    """The texts of a row that are translated, in order.

    Args:
        row: of any kind.
        ledger: counts what stays as it is.
    """
    texts = [text for message in row.messages for text in _texts_of_turn(message, row, ledger)]
    if isinstance(row, Preference):
        texts += [row.answer_a, row.answer_b]
    if isinstance(row, PooledAnswer):
        texts.append(row.answer)
    return texts


def _texts_of_turn(message: Message, row: Row, ledger: Ledger | None) -> Iterator[str]:
    if ledger is not None:
        has_tools = message.role == "tool" or message.tool_calls or message.documents
        ledger.count(TOOLS, int(bool(has_tools)), row.language)
        ledger.count(OTHER_TURN, int(_is_other(message, row)), row.language)
    if not _is_other(message, row) and message.role != "tool":
        yield message.content
        if message.reasoning_content:
            yield message.reasoning_content


def _is_other(message: Message, row: Row) -> bool:
    return bool(message.language) and message.language != row.language


def in_language(row: Row, texts: Sequence[str], target: str, translator: str) -> Row:
    """The row in another language.

    Args:
        row: of any kind.
        texts: translations of ``texts_of(row)``.
        target: tag of the language.
        translator: its name.

    Raises:
        InputError: the two answers of a preference have become equal, or a prompt empty.
    """
    left = iter(texts)
    turns = tuple(_turn_in(message, row, target, left) for message in row.messages)
    if isinstance(row, Prompt):
        return Prompt.of(
            turns, target, id=row.id, category=row.category, origin=TRANSLATED, source=row.source
        )
    if isinstance(row, Conversation):
        return replace(row, language=target, messages=turns)
    if isinstance(row, Preference):
        answers = next(left), next(left)
        return replace(
            row, language=target, messages=turns, answer_a=answers[0], answer_b=answers[1],
            origin_a=TRANSLATED, origin_b=TRANSLATED,
        )  # fmt: skip
    asked = Prompt.of(turns, target)
    return replace(
        row, language=target, prompt=asked.prompt, system=asked.system, turns=asked.turns,
        origin=TRANSLATED, answer=next(left), answer_origin=TRANSLATED, translator=translator,
        source_language=row.language, source_text=row.answer, source_sample=row.sample,
        num_tokens=None, log_likelihood=None, identified="",
    )  # fmt: skip


def _turn_in(message: Message, row: Row, target: str, texts: Iterator[str]) -> Message:
    if _is_other(message, row) or message.role == "tool":
        return message
    content = next(texts)
    thought = next(texts) if message.reasoning_content else ""
    # A turn that said it was in the row's language is in the target's now.
    language = target if message.language else ""
    return replace(message, content=content, reasoning_content=thought, language=language)


def as_line(row: Row, source: Row, translator: str) -> dict[str, Any]:
    """A translated row as readers of its kind take it, with the translator and its language."""
    line: dict[str, Any] = {"id": row.id, "language": row.language}
    made = {"translator": translator, "source_language": source.language}
    if isinstance(row, Preference):
        line["prompt"] = _turns(row.messages)
        line |= {"chosen": row.chosen, "rejected": row.rejected}
        if row.scores is not None:
            line |= dict(zip(("chosen_score", "rejected_score"), row.scores, strict=True))
        line |= {"margin": row.margin} if row.margin and row.scores is None else {}
        line |= _filled(
            user=row.user, annotator=row.annotator, source=row.source,
            chosen_model=row.model_a, rejected_model=row.model_b,
        )  # fmt: skip
        return line | {"chosen_origin": TRANSLATED, "rejected_origin": TRANSLATED} | made
    if isinstance(row, Prompt) and not row.turns:
        line |= {"prompt": row.prompt} | _filled(system=row.system)
    else:
        line["messages"] = _turns(row.messages)
    if isinstance(row, Prompt):
        line |= _filled(category=row.category)
    if isinstance(row, Prompt | Conversation):
        line |= _filled(source=row.source)
    return line | {"origin": TRANSLATED} | made


def _filled(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages without the fields that have their defaults."""
    lines = []
    for message in messages:
        bare = plain(Message(message.role, ""))
        line = plain(message)
        lines.append(
            {name: value for name, value in line.items()
             if name in ("role", "content") or value != bare[name]}
        )  # fmt: skip
    return lines
