"""Readers of conversations, preferences and prompts in JSON lines or Parquet, TRL's forms too."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from polylect.base import OTHER_LANGUAGES, InputError, Ledger, did_you_mean, language
from polylect.rows.conversations import (
    ROLES,
    Conversation,
    Message,
    Passage,
    Preference,
    Prompt,
    ToolCall,
)
from polylect.rows.files import read_dicts
from polylect.rows.message_fields import check_fields, is_trained, with_tools
from polylect.rows.types import Verdict

IGNORED_COLUMN = "ignored: column"
"""Ledger event: a row has a value in a column that is not used; by column."""
_PROMPT_COLUMNS = (
    "id", "language", "prompt", "system", "category", "origin", "messages", "tools", "source",
)  # fmt: skip
_CONVERSATION_COLUMNS = ("messages", "prompt", "completion", "language", "source", "tools", "id")
_PREFERENCE_COLUMNS = (
    "prompt", "chosen", "rejected", "language", "source", "tools", "id", "margin", "chosen_score",
    "rejected_score",
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
    prompts: list[Prompt] = []
    places: dict[tuple[str, str], str] = {}
    for place, row in read_dicts(path):
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
        prompts.append(prompt)
    return _not_empty(prompts, path, "a row has language and prompt")


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
    if require_id and not (isinstance(name, str) and name.strip()):
        raise InputError(f"{place}: 'id' is {name!r}", "give every prompt an id")
    if row.get("prompt"):
        messages = _turns(row["prompt"], "user", f"{place}: 'prompt'", ledger)
        if row.get("messages"):
            # Some files give the last message alone beside the whole conversation.
            whole = _up_to_answer(_messages(row["messages"], f"{place}: 'messages'", ledger))
            messages = whole if whole[-len(messages) :] == messages else messages
    elif row.get("messages") is not None:
        messages = _up_to_answer(_messages(row["messages"], f"{place}: 'messages'", ledger))
    else:
        raise _missing("prompt", row, place)
    if not messages or messages[-1].role == "assistant":
        raise InputError(f"{place}: nothing asks for an answer", "end with a user's turn")
    system = _text(row, "system", place)
    if system and messages[0].role != "system":
        messages = [Message("system", system), *messages]
    messages = with_tools(messages, row, place)
    tag = (
        _language(row, place, "", "add it to the rows")
        if require_id
        else _language(row, place, default_language)
    )
    return Prompt.of(
        messages,
        tag,
        id=name if isinstance(name, str) else "",
        category=_text(row, "category", place),
        origin=_text(row, "origin", place),
        source=_text(row, "source", place),
        place=place,
    )


def _up_to_answer(messages: list[Message]) -> list[Message]:
    return messages[:-1] if messages[-1].role == "assistant" else messages


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
    conversations = []
    for place, row in read_dicts(path):
        _count_columns(row, _CONVERSATION_COLUMNS, ledger)
        if "messages" in row:
            messages = _messages(row["messages"], f"{place}: 'messages'", ledger)
        elif "prompt" in row and "completion" in row:
            messages = _turns(row["prompt"], "user", f"{place}: 'prompt'", ledger)
            messages += _turns(row["completion"], "assistant", f"{place}: 'completion'", ledger)
        else:
            raise InputError(
                f"{place}: neither 'messages' nor 'prompt' with 'completion'", _columns(row)
            )
        if not any(message.learned for message in messages):
            raise InputError(
                f"{place}: no turn of the assistant: nothing to learn", "remove the row"
            )
        conversations.append(
            Conversation(
                language=_language(row, place, default_language),
                messages=tuple(with_tools(messages, row, place)),
                source=_text(row, "source", place),
                place=place,
            )
        )
    return _not_empty(conversations, path)


def read_preferences(
    path: Path, default_language: str = "", ledger: Ledger | None = None
) -> list[Preference]:
    """The preferences of a file; in each, answer A is the preferred one.

    A row has ``prompt`` (text or messages), ``chosen``, ``rejected`` (text, or messages of which
    the last is the answer), ``language``, and may have ``chosen_score`` and ``rejected_score``, or
    ``margin``. TRL's rows without a prompt, whose two conversations begin alike, are read too. An
    answer is text: tools, calls and reasoning may be in the turns before it.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts columns and fields that are not read; None does not count them.

    Raises:
        InputError: a row does not fit, or its answers are equal; names file and line.
    """
    return _not_empty(list(_preferences(path, default_language, ledger)), path)


def _preferences(path: Path, default_language: str, ledger: Ledger | None) -> Iterator[Preference]:
    for place, row in read_dicts(path):
        _count_columns(row, _PREFERENCE_COLUMNS, ledger)
        for name in _SIDES:
            if name not in row:
                raise InputError(f"{place}: {name!r} is missing", _columns(row))
        sides = [_turns(row[name], "assistant", f"{place}: {name!r}", ledger) for name in _SIDES]
        prompt: list[Message] = []
        if row.get("prompt"):
            prompt = _turns(row["prompt"], "user", f"{place}: 'prompt'", ledger)
        before, also_before = (side[:-1] for side in sides)
        if before != also_before:
            raise InputError(
                f"{place}: 'chosen' and 'rejected' do not answer the same conversation",
                "they may differ in the last turn only",
            )
        # Some files repeat the prompt at the beginning of both answers.
        prompt = before if before and before[: len(prompt)] == prompt else prompt + before
        answers = [side[-1] for side in sides]
        for name, answer in zip(_SIDES, answers, strict=True):
            if answer.role != "assistant":
                raise InputError(
                    f"{place}: {name!r} ends with the turn of {answer.role!r}",
                    "the last turn is the assistant's answer",
                )
            if answer != Message("assistant", answer.content):
                raise InputError(
                    f"{place}: the answer of {name!r} is more than text",
                    "tool_calls, reasoning_content, weight 0 and the like cannot be compared",
                )
        if not prompt or prompt[-1].role == "assistant":
            raise InputError(f"{place}: there is no prompt before the answers", "give 'prompt'")
        if answers[0].content == answers[1].content:
            raise InputError(f"{place}: 'chosen' and 'rejected' are equal", "remove the row")
        chosen_score, rejected_score = _scores(row, place)
        yield Preference(
            language=_language(row, place, default_language),
            messages=tuple(with_tools(prompt, row, place)),
            answer_a=answers[0].content,
            answer_b=answers[1].content,
            verdict=Verdict.A,
            score_a=chosen_score,
            score_b=rejected_score,
            id=_id(row, place),
            margin=_number(row, "margin", place) or 0.0,
            source=_text(row, "source", place),
            place=place,
        )


def _not_empty(rows: list[R], path: Path, hint: str = "give some to learn from") -> list[R]:
    if not rows:
        raise InputError(f"{path}: no row in it", hint)
    return rows


def _turns(value: object, role: str, place: str, ledger: Ledger | None) -> list[Message]:
    """Messages, or a text as one message of a role."""
    if not isinstance(value, str):
        return _messages(value, place, ledger)
    if not value.strip():
        raise InputError(f"{place} is empty", "give it some text, or remove the row")
    return [Message(role, value)]


def _messages(value: object, place: str, ledger: Ledger | None) -> list[Message]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(
            f"{place} is {repr(value)[:40]}", "give text, or a list of role and content"
        )
    return [_message(turn, number, place, ledger) for number, turn in enumerate(value, start=1)]


def _message(turn: object, number: int, place: str, ledger: Ledger | None) -> Message:
    data: Mapping[str, Any] = turn if isinstance(turn, Mapping) else {}
    role, text = data.get("role"), data.get("content")
    if role not in ROLES:
        raise InputError(
            f"{place}: the role of turn {number} is {role!r}",
            f"a role is one of {', '.join(ROLES)}",
        )
    calls = data.get("tool_calls") or ()
    if text is None and calls:
        text = ""
    if not isinstance(text, str) or not (text.strip() or role == "system" or calls):
        raise InputError(f"{place}: the content of turn {number} is {text!r}", "give it some text")
    check_fields(data, number, place, ledger)
    reasoning = data.get("reasoning_content") or ""
    for name, value in (("reasoning_content", reasoning), ("name", data.get("name") or "")):
        if not isinstance(value, str):
            raise InputError(f"{place}: {name!r} of turn {number} is {value!r}", "give text")
    if reasoning and role != "assistant":
        raise InputError(f"{place}: turn {number} ({role}) has 'reasoning_content'",
                         "only the assistant reasons")  # fmt: skip
    trained = is_trained(data, number, place)
    try:
        return Message(
            role,
            text,
            language=data.get("language") or "",
            trained=trained,
            tool_calls=tuple(map(_tool_call, calls)),
            tool_call_id=data.get("tool_call_id") or "",
            documents=tuple(map(_passage, data.get("documents") or ())),
            reasoning_content=reasoning,
            name=data.get("name") or "",
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{place}: the tool calls or documents of turn {number} cannot be read ({error})",
            "a call has a function with name and arguments; a document text, title and id",
        ) from None


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    """A call as OpenAI and transformers write it."""
    function = call.get("function", call)
    arguments = function.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(function["name"], text, call.get("id") or "")


def _passage(document: Mapping[str, Any]) -> Passage:
    return Passage(**{key: value for key, value in document.items() if value is not None})


def _missing(name: str, row: Mapping[str, Any], place: str) -> InputError:
    others = [key for key in row if key not in _PROMPT_COLUMNS]
    return InputError(f"{place}: {name!r} is missing", did_you_mean(name, others) or _columns(row))


def _columns(row: Mapping[str, Any]) -> str:
    return f"the row has {', '.join(map(str, row)) or 'nothing'}"


def _language(
    row: Mapping[str, Any],
    place: str,
    default: str,
    hint: str = "add it to the rows, or --language TAG for all",
) -> str:
    tag = row.get("language") or default
    if not tag:
        raise InputError(f"{place}: 'language' is missing", hint)
    if not isinstance(tag, str):
        raise InputError(f"{place}: 'language' is {tag!r}", "a tag such as de")
    return tag if tag in OTHER_LANGUAGES else language(tag, f"{place}: 'language'").tag


def _id(row: Mapping[str, Any], place: str) -> str:
    """A row's id, a number too; empty without one."""
    value = row.get("id")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else _text(row, "id", place)


def _text(row: Mapping[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: {name!r} is {value!r}", "give text, or leave it out")
    return value


def _scores(row: Mapping[str, Any], place: str) -> tuple[float | None, float | None]:
    chosen, rejected = (_number(row, f"{name}_score", place) for name in _SIDES)
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


def _number(row: Mapping[str, Any], name: str, place: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise InputError(f"{place}: {name!r} is {value!r}", "give a finite number")
    return float(value)
