"""Messages as chat templates take them, and their fields as files have them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polylect.base import InputError, Ledger, parse_json
from polylect.rows.conversations import Message, Tool

IGNORED_FIELD = "ignored: field of a message"
_READ = (
    "role", "content", "language", "trained", "weight", "tool_calls", "tool_call_id", "documents",
    "reasoning_content", "name",
)  # fmt: skip
_LOST = {
    "reasoning": "reasoning_content", "thinking": "reasoning_content",
    "thoughts": "reasoning_content", "function_call": "tool_calls", "tool_plan": "tool_calls",
    "train": "trained", "training": "trained", "mask": "trained", "loss_mask": "trained",
    "loss": "trained", "loss_weight": "trained", "masked": "trained",
}  # fmt: skip
"""Fields that would be missed, and what polylect reads in their place."""


def check_fields(data: Mapping[str, Any], number: int, place: str, ledger: Ledger | None) -> None:
    """Count the fields of a message that are not read; refuse those whose loss changes what it is.

    Raises:
        InputError: a field holds text, calls or a mask under another name.
    """
    for name, value in data.items():
        if name in _READ or value is None or value in ("", [], {}):
            continue
        if name in _LOST:
            raise InputError(
                f"{place}: turn {number} has {name!r}, which is not read",
                f"{_LOST[name]} is; rename it, or leave it out",
            )
        if ledger is not None:
            ledger.count(IGNORED_FIELD, 1, name)


def is_trained(data: Mapping[str, Any], number: int, place: str) -> bool:
    """Whether a turn is learned, by ``trained`` (true, false) or OpenAI's ``weight`` (0, 1).

    Raises:
        InputError: another value, or both, which disagree.
    """
    trained, weight = data.get("trained"), data.get("weight")
    if not isinstance(trained, bool | None):
        raise InputError(f"{place}: 'trained' of turn {number} is {trained!r}", "true or false")
    if weight is None:
        return trained is not False
    if isinstance(weight, bool) or weight not in (0, 1):
        raise InputError(f"{place}: 'weight' of turn {number} is {weight!r}", "0 or 1")
    if trained is not None and trained != bool(weight):
        raise InputError(
            f"{place}: 'trained' of turn {number} is {trained}, its 'weight' {weight}",
            "give one of them",
        )
    return bool(weight)


def with_tools(messages: list[Message], row: Mapping[str, Any], place: str) -> list[Message]:
    """The messages, the first with the row's ``tools``: a list of definitions, or its JSON text.

    Raises:
        InputError: they cannot be read, or the row has another argument of the template.
    """
    for name in ("documents", "chat_template_kwargs"):
        if row.get(name):
            hint = "give documents with a message" if name == "documents" else "leave it out"
            raise InputError(f"{place}: {name!r} of a row is not passed to the template", hint)
    value = row.get("tools")
    if not value:
        return messages
    hint = 'a list of {"type": "function", "function": {"name": ...}}'
    try:
        tools = parse_json(value, place) if isinstance(value, str) else value
        read = tuple(map(_tool, tools))
    except InputError as error:
        raise InputError(error.message.replace(place, f"{place}: 'tools'", 1), hint) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{place}: 'tools' is {repr(value)[:60]}", hint) from None
    return [replace(messages[0], tools=read), *messages[1:]] if read else messages


def _tool(definition: Mapping[str, Any]) -> Tool:
    function = definition.get("function", definition)
    return Tool(
        function["name"],
        function.get("description") or "",
        json.dumps(function.get("parameters") or {}, ensure_ascii=False),
        json.dumps(definition, ensure_ascii=False),
    )


def template_arguments(messages: Sequence[Message]) -> dict[str, Any]:
    """What a chat template gets: ``messages``, and ``tools`` and ``documents`` if there are any.

    Raises:
        InputError: the arguments of a call are no JSON object.
    """
    tools = [_definition(tool) for message in messages for tool in message.tools]
    documents = [{"title": passage.title, "text": passage.text}
                 | ({"id": passage.id} if passage.id else {})
                 for message in messages for passage in message.documents]  # fmt: skip
    arguments: dict[str, Any] = {"messages": [_turn(message) for message in messages]}
    return (
        arguments
        | ({"tools": tools} if tools else {})
        | ({"documents": documents} if documents else {})
    )


def _definition(tool: Tool) -> dict[str, Any]:
    if tool.definition:
        return json.loads(tool.definition)
    function = {"name": tool.name, "description": tool.description,
                "parameters": json.loads(tool.parameters)}  # fmt: skip
    return {"type": "function", "function": function}


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    for name in ("reasoning_content", "name", "tool_call_id"):
        if getattr(message, name):
            turn[name] = getattr(message, name)
    if message.tool_calls:
        turn["tool_calls"] = [
            ({"id": call.id} if call.id else {})
            | {"type": "function", "function": {"name": call.name,
                                                "arguments": _arguments(call.arguments)}}
            for call in message.tool_calls
        ]  # fmt: skip
    return turn


def _arguments(text: str) -> dict[str, Any]:
    """A call's arguments as an object, which transformers' templates expect."""
    try:
        value = parse_json(text or "{}", "a tool call")
    except InputError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"the arguments of a tool call are {text[:40]!r}", "give a JSON object")
    return value


def without_fields(messages: Sequence[Message]) -> Iterator[tuple[int, str, list[Message]]]:
    """For every field that a template may fail to render: turn, name, and messages changed there.

    A template that renders the field gives another text for them.
    """
    for number, message in enumerate(messages, start=1):
        changes: dict[str, Any] = {
            name: type(getattr(message, name))()
            for name in ("reasoning_content", "tool_calls", "tools", "documents")
            if getattr(message, name)
        }
        if message.role == "tool":
            changes["content"] = message.content + " ."
        elif message.name:
            changes["name"] = ""
        for name, value in changes.items():
            changed = [*messages]
            changed[number - 1] = replace(message, **{name: value})
            yield number, name, changed


def with_other_content(
    messages: Sequence[Message],
) -> Iterator[tuple[list[Message], dict[int, str]]]:
    """Messages with other contents, but the assistant's, and by turn what was put into each.

    A template that writes all of a message gives another text for each change: a mark at its
    beginning, in its middle, at its end; and, for short ones, others of the same length, without a
    mark.

    Example:
        >>> [changed[0].content for changed, _ in with_other_content([Message("user", "Hm")])]
        ['qzx1xzq Hm', 'Hqzx1xzqm', 'Hm qzx1xzq', 'qz']
    """
    asked = {
        number: message
        for number, message in enumerate(messages, start=1)
        if message.role != "assistant" and message.content.strip()
    }
    # Letters alone, so that a template which trims, splits or escapes leaves them as they are.
    marks = {number: f"qzx{number}xzq" for number in asked}
    texts = {number: message.content for number, message in asked.items()}
    yield with_contents(messages, {n: f"{marks[n]} {x}" for n, x in texts.items()}), marks
    halves = {n: (x[: len(x) // 2], x[len(x) // 2 :]) for n, x in texts.items()}
    yield with_contents(messages, {n: marks[n].join(x) for n, x in halves.items()}), marks
    yield with_contents(messages, {n: f"{x} {marks[n]}" for n, x in texts.items()}), marks
    short = {n: _other(x) for n, x in texts.items() if len(x) <= _SHORT}
    if short:
        yield with_contents(messages, short), dict.fromkeys(short, "")


_SHORT = 12


def _other(text: str) -> str:
    """Another text of the same length."""
    letters = "zxq" if text.startswith("q") else "qzx"
    return (letters * len(text))[: len(text)]


def with_contents(messages: Sequence[Message], contents: Mapping[int, str]) -> list[Message]:
    """Messages with other contents, by turn."""
    return [
        replace(message, content=contents.get(number, message.content))
        for number, message in enumerate(messages, start=1)
    ]
