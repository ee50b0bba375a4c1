"""Messages as files have them: text, OpenAI's parts of content, calls of tools."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polylect.base import InputError, Ledger
from polylect.rows.conversations import ROLES, Message, Passage, ToolCall
from polylect.rows.message_fields import check_fields, is_trained

JOINED = "joined: content of several parts"
"""Ledger event: a message's parts of text became one text."""


class RowError(InputError):
    """A row of which nothing can be learned or asked: it is left out, the file is not refused."""


def read_turns(value: object, role: str, place: str, ledger: Ledger | None) -> list[Message]:
    """Messages, or a text as one message of a role."""
    if not isinstance(value, str):
        return read_messages(value, place, ledger)
    if not value.strip():
        raise RowError(f"{place} is empty", "give it some text, or remove the row")
    return [Message(role, value)]


def read_messages(value: object, place: str, ledger: Ledger | None) -> list[Message]:
    """A list of messages.

    Raises:
        InputError: not a list of them; names the turn.
        RowError: another role, or a content that is no text.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        problem = "missing" if value is None else repr(value)[:40]
        raise InputError(f"{place} is {problem}", "give text, or a list of role and content")
    return [_message(turn, number, place, ledger) for number, turn in enumerate(value, start=1)]


def up_to_answer(messages: list[Message]) -> list[Message]:
    """A conversation without the answer that it ends with."""
    return messages[:-1] if messages[-1].role == "assistant" else messages


def prompt_within(
    prompt: list[Message], whole: list[Message], place: str, name: str = "prompt"
) -> list[Message]:
    """A conversation up to the prompt that a row has beside it.

    Files give the first message alone, the last one, or all of them.

    Args:
        prompt: what the row calls its prompt.
        whole: the messages that the row has beside it, up to an answer.
        place: of the row, for errors.
        name: of the column that holds the prompt.

    Raises:
        RowError: the whole neither begins nor ends with the prompt: one of them would be lost.
    """
    size = len(prompt)
    if whole[-size:] == prompt:
        return whole
    start = int(whole[0].role == "system" and prompt[0].role != "system")
    if whole[start : start + size] == prompt:
        return whole[: start + size]
    raise RowError(
        f"{place}: {name!r} is no part of the other messages of the row",
        "leave one of them out: they would be two conversations",
    )


def with_system(messages: list[Message], system: str, place: str) -> list[Message]:
    """Messages, which begin with what a row's column ``system`` says.

    Raises:
        RowError: they begin with another system's message.
    """
    if not system.strip():
        return messages
    if messages and messages[0].role == "system":
        if messages[0].content.strip() == system.strip():
            return messages
        raise RowError(f"{place}: 'system' is not what the first message says", "give one of them")
    return [Message("system", system), *messages]


def _message(turn: object, number: int, place: str, ledger: Ledger | None) -> Message:
    data: Mapping[str, Any] = turn if isinstance(turn, Mapping) else {}
    role, text = data.get("role"), data.get("content")
    if role not in ROLES:
        problem = "missing" if role is None else repr(role)
        raise RowError(
            f"{place}: the role of turn {number} is {problem}",
            f"a role is one of {', '.join(ROLES)}",
        )
    calls = data.get("tool_calls") or ()
    says_otherwise = bool(calls or data.get("reasoning_content"))
    text = "" if text is None and says_otherwise else text
    text = _content(text, role != "system" and not says_otherwise, number, place, ledger)
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


def _content(value: object, is_needed: bool, number: int, place: str, ledger: Ledger | None) -> str:
    """The text of a message; parts of text are put one after the other, as templates write them.

    Raises:
        RowError: no text, or a part that is none.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_part(part, number, place) for part in value]
        if ledger is not None:
            ledger.count(JOINED, int(len(parts) > 1))
        value = "".join(parts)
    if not isinstance(value, str) or (is_needed and not value.strip()):
        problem = "missing" if value is None else repr(value)[:40]
        raise RowError(f"{place}: the content of turn {number} is {problem}", "give it some text")
    return value


def _part(part: object, number: int, place: str) -> str:
    kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
    text = part.get("text") if isinstance(part, Mapping) else part
    if kind not in ("text", "input_text", "output_text") or not isinstance(text, str):
        what = repr(kind) if kind != "text" else repr(part)[:40]
        raise RowError(
            f"{place}: the content of turn {number} has a part that is no text ({what})",
            "remove the row: only text is read",
        )
    return text


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    """A call as OpenAI and transformers write it."""
    function = call.get("function", call)
    arguments = function.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(function["name"], text, call.get("id") or "")


def _passage(document: Mapping[str, Any]) -> Passage:
    return Passage(**{key: value for key, value in document.items() if value is not None})
