"""Conversations and preferences as people keep them: JSON lines, ours or TRL's forms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import OTHER_LANGUAGES, InputError, language
from polylect.rows.files import read_dicts

Message = Mapping[str, str]
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation to learn from: every turn of the assistant.

    Attributes:
        messages: turns with ``role`` and ``content``.
        language: tag.
        place: file and line, for error messages.
        source: where it is from, as its file says; mixtures name it.
    """

    messages: tuple[Message, ...]
    language: str
    place: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, the first preferred.

    Attributes:
        prompt: turns before the answer; the last one is not the assistant's.
        chosen: the preferred answer.
        rejected: the other one.
        language: tag.
        place: file and line, for error messages.
        scores: of chosen and rejected, where the file has them.
        margin: by how much it was preferred, for reward models; 0 where the file says nothing.
        source: where it is from, as its file says; mixtures name it.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    language: str
    place: str
    scores: tuple[float, float] | None = None
    margin: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Something to be answered.

    Attributes:
        messages: turns; the last one is not the assistant's.
        language: tag.
        place: file and line, for error messages.
        source: where it is from, as its file says; mixtures name it.
    """

    messages: tuple[Message, ...]
    language: str
    place: str
    source: str = ""


def read_prompts(path: Path, default_language: str = "") -> list[ChatPrompt]:
    """The prompts of a file; files of preferences and of conversations will do.

    A row has ``prompt`` (text or messages), or ``messages``, of which the last answer is left out,
    and ``language``.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.

    Raises:
        InputError: a row does not fit; names file and line, the value and what is expected.
    """
    found = []
    for place, row in read_dicts(path):
        if row.get("prompt"):
            turns = _turns(row["prompt"], "user", f"{place}: 'prompt'")
        elif "messages" in row:
            turns = _messages(row["messages"], f"{place}: 'messages'")
            if turns[-1]["role"] == "assistant":
                turns = turns[:-1]
        else:
            raise InputError(
                f"{place}: neither 'prompt' nor 'messages'",
                f"the row has {', '.join(map(str, row))}",
            )
        if not turns or turns[-1]["role"] == "assistant":
            raise InputError(f"{place}: nothing asks for an answer", "end with a user's turn")
        tag = _language(row, place, default_language)
        found.append(ChatPrompt(tuple(turns), tag, place, _source(row, place)))
    return _some(found, path)


def read_chats(path: Path, default_language: str = "") -> list[Chat]:
    """The conversations of a file.

    A row has ``messages`` (role, content) and ``language``; or, as in TRL, ``prompt`` and
    ``completion``, each text or messages.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.

    Raises:
        InputError: a row does not fit; names file and line, the value and what is expected.
    """
    found = []
    for place, row in read_dicts(path):
        if "messages" in row:
            turns = _messages(row["messages"], f"{place}: 'messages'")
        elif "prompt" in row and "completion" in row:
            turns = _turns(row["prompt"], "user", f"{place}: 'prompt'")
            turns += _turns(row["completion"], "assistant", f"{place}: 'completion'")
        else:
            raise InputError(
                f"{place}: neither 'messages' nor 'prompt' with 'completion'",
                f"the row has {', '.join(map(str, row))}",
            )
        if not any(one["role"] == "assistant" for one in turns):
            raise InputError(
                f"{place}: no turn of the assistant: nothing to learn", "remove the row"
            )
        tag = _language(row, place, default_language)
        found.append(Chat(tuple(turns), tag, place, _source(row, place)))
    return _some(found, path)


def read_pairs(path: Path, default_language: str = "") -> list[Pair]:
    """The preferences of a file.

    A row has ``prompt`` (text or messages), ``chosen``, ``rejected`` (text, or messages of which
    the last is the answer), ``language``, and may have ``chosen_score`` and ``rejected_score``, or
    ``margin``. TRL's rows without a prompt, whose two conversations begin alike, are read too.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.

    Raises:
        InputError: a row does not fit, or its answers are equal; names file and line.
    """
    return _some(list(_pairs(path, default_language)), path)


def _pairs(path: Path, default_language: str) -> Iterator[Pair]:
    for place, row in read_dicts(path):
        for name in ("chosen", "rejected"):
            if name not in row:
                raise InputError(
                    f"{place}: {name!r} is missing", f"the row has {', '.join(map(str, row))}"
                )
        sides = [
            _turns(row[one], "assistant", f"{place}: {one!r}") for one in ("chosen", "rejected")
        ]
        prompt = _turns(row["prompt"], "user", f"{place}: 'prompt'") if row.get("prompt") else []
        before = [side[:-1] for side in sides]
        if before[0] != before[1]:
            raise InputError(
                f"{place}: 'chosen' and 'rejected' do not answer the same conversation",
                "they may differ in the last turn only",
            )
        # Some files repeat the prompt at the beginning of both answers.
        prompt = (
            before[0] if before[0][: len(prompt)] == prompt and before[0] else prompt + before[0]
        )
        answers = [side[-1] for side in sides]
        for name, one in zip(("chosen", "rejected"), answers, strict=True):
            if one["role"] != "assistant":
                raise InputError(f"{place}: {name!r} ends with the turn of {one['role']!r}",
                                 "the last turn is the assistant's answer")  # fmt: skip
        if not prompt or prompt[-1]["role"] == "assistant":
            raise InputError(f"{place}: there is no prompt before the answers", "give 'prompt'")
        if answers[0]["content"] == answers[1]["content"]:
            raise InputError(f"{place}: 'chosen' and 'rejected' are equal", "remove the row")
        yield Pair(
            prompt=tuple(prompt),
            chosen=answers[0]["content"],
            rejected=answers[1]["content"],
            language=_language(row, place, default_language),
            place=place,
            scores=_scores(row, place),
            margin=_number(row, "margin", place) or 0.0,
            source=_source(row, place),
        )


def _some(found: list[Any], path: Path) -> list[Any]:
    if not found:
        raise InputError(f"{path}: no row in it", "give some to learn from")
    return found


def _turns(value: object, role: str, place: str) -> list[Message]:
    """Messages, or a text as one message of a role."""
    if isinstance(value, str):
        return _messages([{"role": role, "content": value}], place)
    return _messages(value, place)


def _messages(value: object, place: str) -> list[Message]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InputError(
            f"{place} is {str(value)[:40]!r}", "give text, or a list of role and content"
        )
    found: list[Message] = []
    for number, one in enumerate(value, start=1):
        role = one.get("role") if isinstance(one, Mapping) else None
        text = one.get("content") if isinstance(one, Mapping) else None
        if role not in ROLES:
            raise InputError(f"{place}: the role of turn {number} is {role!r}",
                             f"a role is one of {', '.join(ROLES)}")  # fmt: skip
        if not isinstance(text, str) or (not text.strip() and role != "system"):
            raise InputError(
                f"{place}: the content of turn {number} is {text!r}", "give it some text"
            )
        found.append({"role": role, "content": text})
    return found


def _language(row: Mapping[str, Any], place: str, default: str) -> str:
    said = row.get("language") or default
    if not said:
        raise InputError(
            f"{place}: 'language' is missing", "add it to the rows, or --language TAG for all"
        )
    if not isinstance(said, str):
        raise InputError(f"{place}: 'language' is {said!r}", "a tag such as de")
    return said if said in OTHER_LANGUAGES else language(said, f"{place}: 'language'").tag


def _source(row: Mapping[str, Any], place: str) -> str:
    said = row.get("source")
    if said is None:
        return ""
    if not isinstance(said, str):
        raise InputError(f"{place}: 'source' is {said!r}", "give a name, or leave it out")
    return said


def _scores(row: Mapping[str, Any], place: str) -> tuple[float, float] | None:
    chosen, rejected = (_number(row, f"{one}_score", place) for one in ("chosen", "rejected"))
    if chosen is None and rejected is None:
        return None
    if chosen is None or rejected is None:
        raise InputError(f"{place}: one of two scores is missing",
                         "give 'chosen_score' and 'rejected_score', or neither")  # fmt: skip
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
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(f"{place}: {name!r} is {value!r}", "give a number")
    return float(value)
