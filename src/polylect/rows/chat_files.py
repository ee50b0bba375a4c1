"""Readers of conversations, preferences and prompts in JSON lines or Parquet, TRL's forms too."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from polylect.base import InputError, Ledger, did_you_mean
from polylect.rows.cells import (
    columns_of,
    id_cell,
    language_cell,
    name_cell,
    number_cell,
    text_cell,
)
from polylect.rows.conversations import (
    Conversation,
    Message,
    Preference,
    Prompt,
)
from polylect.rows.files import read_dicts
from polylect.rows.message_fields import with_tools
from polylect.rows.message_reading import (
    RowError,
    prompt_within,
    read_messages,
    read_turns,
    up_to_answer,
    with_system,
)
from polylect.rows.refused_rows import RefusedRows
from polylect.rows.types import Verdict

IGNORED_COLUMN = "ignored: column"
"""Ledger event: a row has a value in a column that is not used; by column."""
ANSWERED = "left out: the answer that a prompt's messages end with"
"""Ledger event: what is asked is what stands before it."""
_MADE_BY = ("translator", "source_language")
"""Columns of 'polylect feedback translate' that tell people where a row comes from. They are no
fields of a row: nothing that learns or is measured looks at them beside the origin, and a row would
no longer be the same row (by its digest) once they are known. The file keeps them."""
_PROMPT_COLUMNS = (
    "id", "language", "prompt", "system", "category", "origin", "messages", "tools", "source",
    *_MADE_BY,
)  # fmt: skip
_CONVERSATION_COLUMNS = (
    "messages", "prompt", "completion", "system", "language", "source", "tools", "id",
    "origin", "template", "row",  # of 'polylect mixture instructions'
    *_MADE_BY,
)  # fmt: skip
_PREFERENCE_COLUMNS = (
    "prompt", "chosen", "rejected", "system", "language", "source", "tools", "id", "margin",
    "chosen_score", "rejected_score", "user", "annotator", "chosen_origin", "rejected_origin",
    "chosen_model", "rejected_model",
    *_MADE_BY,
)  # fmt: skip
_SIDES = ("chosen", "rejected")
R = TypeVar("R")


def read_prompts(
    path: Path,
    default_language: str = "",
    *,
    require_ids: bool = False,
    ledger: Ledger | None = None,
) -> list[Prompt]:
    """The prompts of a file, in its order; files of preferences and of conversations will do.

    A row has ``prompt`` (text or messages), or ``messages``, of which the last answer is left out,
    and ``language``; it may have ``id``, ``system``, ``category``, ``origin`` and ``source``.
    Aliases of a language become its tag.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        require_ids: every row needs an ``id`` that is unique in its language.
        ledger: counts the columns that are not read; None does not count them.

    Raises:
        InputError: no row, or one that does not fit; names file and line, the value and what is
            expected.
    """
    places: dict[tuple[str, str], str] = {}

    def read(row: Mapping[str, Any], place: str) -> Prompt:
        _count_columns(row, _PROMPT_COLUMNS, ledger)
        prompt = _prompt(row, place, default_language, require_ids, ledger)
        if require_ids:
            earlier = places.setdefault((prompt.id, prompt.language), place)
            if earlier != place:
                raise InputError(
                    f"{place}: prompt {prompt.id!r} in {prompt.language} is there already"
                    f" ({earlier})",
                    "give every prompt an id of its own",
                )
        return prompt

    rows = _read_all(path, read, default_language, ledger)
    return _not_empty(rows, path, "a row has language and prompt")


def _read_all(
    path: Path,
    read: Callable[[Mapping[str, Any], str], R],
    default_language: str,
    ledger: Ledger | None,
) -> list[R]:
    """The rows of a file; one whose content is no text is left out and counted.

    Raises:
        InputError: a row does not fit, or there is no ledger to count it, or none is left.
    """
    rows: list[R] = []
    refused = RefusedRows()
    for place, row in read_dicts(path):
        try:
            rows.append(read(row, place))
        except RowError as error:
            if ledger is None:
                raise
            refused.add(error, place, str(row.get("language") or default_language))
    if ledger is not None:
        refused.count(ledger, len(rows))
    return rows


def _count_columns(row: Mapping[str, Any], read: Sequence[str], ledger: Ledger | None) -> None:
    """Count the columns of a row that are not read."""
    for name in row.keys() - set(read) if ledger is not None else ():
        if ledger is not None and row[name] is not None:
            ledger.count(IGNORED_COLUMN, 1, name)


def _prompt(
    row: Mapping[str, Any],
    place: str,
    default_language: str,
    require_id: bool,
    ledger: Ledger | None,
) -> Prompt:
    name = row.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if require_id and name is None:
        raise _missing("id", row, place)
    if require_id and isinstance(name, str) and not name.strip():
        raise InputError(f"{place}: 'id' is empty", "give every prompt an id")
    if require_id and not isinstance(name, str):
        raise InputError(f"{place}: 'id' is {name!r}", "give every prompt an id")
    if row.get("prompt"):
        messages = read_turns(row["prompt"], "user", f"{place}: 'prompt'", ledger)
        if row.get("messages"):
            whole = up_to_answer(read_messages(row["messages"], f"{place}: 'messages'", ledger))
            messages = prompt_within(messages, whole, place)
    elif row.get("messages") is not None:
        whole = read_messages(row["messages"], f"{place}: 'messages'", ledger)
        messages = up_to_answer(whole)
        if ledger is not None:
            ledger.count(ANSWERED, int(len(messages) < len(whole)))
    else:
        raise _missing("prompt", row, place)
    if not messages or messages[-1].role == "assistant":
        raise RowError(f"{place}: nothing asks for an answer", "end with a user's turn")
    messages = with_system(messages, text_cell(row, "system", place), place)
    messages = with_tools(messages, row, place)
    tag = (
        language_cell(row, place, "", "add it to the rows")
        if require_id
        else language_cell(row, place, default_language)
    )
    return Prompt.of(
        messages,
        tag,
        id=name if isinstance(name, str) else "",
        category=text_cell(row, "category", place),
        origin=text_cell(row, "origin", place),
        source=text_cell(row, "source", place),
        place=place,
    )


def read_conversations(
    path: Path, default_language: str = "", ledger: Ledger | None = None
) -> list[Conversation]:
    """The conversations of a file.

    A row has ``messages`` (role, content) and ``language``; or, as in TRL, ``prompt`` and
    ``completion``, each text or messages. It may have ``tools``. A turn may have ``trained`` or
    OpenAI's ``weight``, ``reasoning_content``, ``tool_calls``, ``tool_call_id``, ``name`` and
    ``documents``.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts columns and fields that are not read; None does not count them.

    Raises:
        InputError: a row does not fit; names file and line, the value and what is expected.
    """

    def read(row: Mapping[str, Any], place: str) -> Conversation:
        return _conversation(row, place, default_language, ledger)

    return _not_empty(_read_all(path, read, default_language, ledger), path)


def _conversation(
    row: Mapping[str, Any], place: str, default_language: str, ledger: Ledger | None
) -> Conversation:
    _count_columns(row, _CONVERSATION_COLUMNS, ledger)
    has_pair = row.get("prompt") is not None and row.get("completion") is not None
    if "messages" in row and not (row["messages"] is None and has_pair):
        messages = read_messages(row["messages"], f"{place}: 'messages'", ledger)
        pair = _pair(row, place, None)
        if pair:
            prompt_within(pair, messages, place, "prompt" if row.get("prompt") else "completion")
    elif "prompt" in row and "completion" in row:
        messages = _pair(row, place, ledger)
    else:
        raise InputError(
            f"{place}: neither 'messages' nor 'prompt' with 'completion'", columns_of(row)
        )
    messages = with_system(messages, text_cell(row, "system", place), place)
    if not any(message.learned for message in messages):
        raise RowError(f"{place}: no turn of the assistant: nothing to learn", "remove the row")
    return Conversation(
        language=language_cell(row, place, default_language),
        messages=tuple(with_tools(messages, row, place)),
        source=text_cell(row, "source", place),
        place=place,
    )


def _pair(row: Mapping[str, Any], place: str, ledger: Ledger | None) -> list[Message]:
    """A row's ``prompt`` and ``completion``, as far as it has them."""
    is_needed = row.get("messages") is None
    pair: list[Message] = []
    for name, role in (("prompt", "user"), ("completion", "assistant")):
        if row.get(name) or is_needed:
            pair += read_turns(row[name], role, f"{place}: {name!r}", ledger)
    return pair


def read_preferences(
    path: Path,
    default_language: str = "",
    ledger: Ledger | None = None,
    *,
    needs_prompt: bool = True,
) -> list[Preference]:
    """The preferences of a file; in each, answer A is the preferred one.

    A row has ``prompt`` (text or messages), ``chosen``, ``rejected`` (text, or messages of which
    the last is the answer), ``language``, and may have ``chosen_score`` and ``rejected_score``, or
    ``margin``; ``chosen_model`` and ``chosen_origin`` (``native``, ``translated`` …), and likewise
    ``rejected_``; ``user``, whose preference it is, and ``annotator``, who compared: text or a
    whole number. TRL's rows without a prompt, whose two conversations begin alike, are read too. An
    answer is text: tools, calls and reasoning may be in the turns before it.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts columns and fields that are not read; None does not count them.
        needs_prompt: without it, texts that answer nothing may be compared, such as jokes.

    Raises:
        InputError: a row does not fit, or its answers are equal; names file and line.
    """

    def read(row: Mapping[str, Any], place: str) -> Preference:
        return _preference(row, place, default_language, ledger, needs_prompt=needs_prompt)

    return _not_empty(_read_all(path, read, default_language, ledger), path)


def _preference(
    row: Mapping[str, Any],
    place: str,
    default_language: str,
    ledger: Ledger | None,
    *,
    needs_prompt: bool,
) -> Preference:
    _count_columns(row, _PREFERENCE_COLUMNS, ledger)
    for name in _SIDES:
        if name not in row:
            raise InputError(f"{place}: {name!r} is missing", columns_of(row))
    sides = [read_turns(row[name], "assistant", f"{place}: {name!r}", ledger) for name in _SIDES]
    prompt: list[Message] = []
    if row.get("prompt"):
        prompt = read_turns(row["prompt"], "user", f"{place}: 'prompt'", ledger)
    before, also_before = (side[:-1] for side in sides)
    if before != also_before:
        raise RowError(
            f"{place}: 'chosen' and 'rejected' do not answer the same conversation",
            "they may differ in the last turn only",
        )
    prompt = _asked(prompt, before, place)
    prompt = with_system(prompt, text_cell(row, "system", place), place)
    answers = [side[-1] for side in sides]
    for name, answer in zip(_SIDES, answers, strict=True):
        if answer.role != "assistant":
            raise RowError(
                f"{place}: {name!r} ends with the turn of {answer.role!r}",
                "the last turn is the assistant's answer",
            )
        if answer != Message("assistant", answer.content):
            raise RowError(
                f"{place}: the answer of {name!r} is more than text",
                "tool_calls, reasoning_content, weight 0 and the like cannot be compared",
            )
    if (needs_prompt and not prompt) or (prompt and prompt[-1].role == "assistant"):
        raise RowError(f"{place}: there is no prompt before the answers", "give 'prompt'")
    if answers[0].content == answers[1].content:
        raise RowError(f"{place}: 'chosen' and 'rejected' are equal", "remove the row")
    chosen_score, rejected_score = _scores(row, place)
    return Preference(
        language=language_cell(row, place, default_language),
        messages=tuple(with_tools(prompt, row, place)),
        answer_a=answers[0].content,
        answer_b=answers[1].content,
        verdict=Verdict.A,
        score_a=chosen_score,
        score_b=rejected_score,
        id=id_cell(row, place),
        margin=_margin(row, place),
        user=name_cell(row, "user", place),
        annotator=name_cell(row, "annotator", place),
        origin_a=text_cell(row, "chosen_origin", place),
        origin_b=text_cell(row, "rejected_origin", place),
        model_a=text_cell(row, "chosen_model", place),
        model_b=text_cell(row, "rejected_model", place),
        source=text_cell(row, "source", place),
        place=place,
    )


def _asked(prompt: list[Message], before: list[Message], place: str) -> list[Message]:
    """What two answers answer: the prompt, and the turns that both answers begin with.

    Some files repeat the prompt, or its last turn, there; others go on after it.
    """
    if before and prompt[-len(before) :] == before:
        return prompt
    goes_on = not prompt or not before or before[0].role in ("assistant", "tool")
    if goes_on:
        return prompt + before
    prompt_within(prompt, before, place)
    return before


def _not_empty(rows: list[R], path: Path, hint: str = "give some to learn from") -> list[R]:
    if not rows:
        raise InputError(f"{path}: no row in it", hint)
    return rows


def _missing(name: str, row: Mapping[str, Any], place: str) -> InputError:
    if row.get(name) is not None:
        return InputError(f"{place}: {name!r} is empty", "fill it in, or remove the row")
    others = [key for key in row if key not in _PROMPT_COLUMNS]
    return InputError(
        f"{place}: {name!r} is missing", did_you_mean(name, others) or columns_of(row)
    )


def _scores(row: Mapping[str, Any], place: str) -> tuple[float | None, float | None]:
    chosen, rejected = (number_cell(row, f"{name}_score", place) for name in _SIDES)
    if chosen is None and rejected is None:
        return None, None
    if chosen is None or rejected is None:
        raise InputError(
            f"{place}: one of two scores is missing",
            "give 'chosen_score' and 'rejected_score', or neither",
        )
    if chosen < rejected:
        raise InputError(
            f"{place}: 'chosen_score' is {chosen:g}, below 'rejected_score' {rejected:g}",
            "swap the two answers",
        )
    return chosen, rejected


def _margin(row: Mapping[str, Any], place: str) -> float:
    """By how much the chosen answer is preferred; 0 if unknown."""
    margin = number_cell(row, "margin", place) or 0.0
    if margin < 0:
        raise InputError(
            f"{place}: 'margin' is {margin:g}: it is by how much 'chosen' is preferred",
            "swap the two answers and give the number without its sign, or leave it out",
        )
    return margin
