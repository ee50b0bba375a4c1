"""A task in a file: JSON lines with ``id``, ``language``, ``context``, ``choices``, ``answer``."""

from pathlib import Path
from typing import Any

from polylect.base import InputError, canonical_tag, nearest
from polylect.evals.items import Item
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.tasks.task import Task

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
"""How the name of a task file ends."""

_NEEDED = ("id", "language", "context", "choices", "answer")
_OPTIONAL = ("cluster", "group", "delimiter", "split")
SPLITS = ("test", "shots")
"""What is asked, and what are solved examples before it."""


def read_task_file(name: str) -> Task:
    """The task in a file, called as the file is; its version is 1, its digest is the content's.

    Items of one choice make a likelihood task, items of several a choice task. Lines whose
    ``split`` is ``shots`` are the examples of ``--shots``; without any, the items are their own.
    Fields of other names are left alone, unless one looks like an optional field misspelled.

    Raises:
        InputError: no such file, or a line that is no item; names the line, the field and the
            value.
    """
    from polylect.rows import read_dicts

    path = Path(name)
    by_language: dict[str, list[Item]] = {}
    examples: dict[str, list[Item]] = {}
    seen: dict[tuple[str, str], str] = {}
    first = ""
    for where, data in read_dicts(path):
        item = _item(data, where)
        key = (item.language, item.id)
        if key in seen:
            raise InputError(
                f"{where}: 'id' is {item.id!r}, as in {seen[key]} ({item.language})",
                "give every item of a language an id of its own",
            )
        seen[key] = where
        split = _text(data, "split", "test", where)
        if split not in SPLITS:
            raise _wrong(where, "split", split, "test, or shots for a solved example")
        kept = by_language if split == "test" else examples
        kept.setdefault(item.language, []).append(item)
        first_item = next(iter(kept.values()))[0]
        if (len(first_item.choices) == 1) != (len(item.choices) == 1):
            raise InputError(
                f"{where}: 'choices' has {len(item.choices)}, in {first} it has"
                f" {len(first_item.choices)}",
                "one choice is a likelihood, several are a choice: put them into two files",
            )
        first = first or where
    if not by_language:
        raise InputError(f"{path}: no item in it", f"a line has {', '.join(_NEEDED)}")

    def read(source: Source, tag: str) -> list[Item]:
        source.note(path.name, path)
        if tag not in by_language:
            raise MissingTranslation(f"{path}: nothing in {tag}")
        return list(by_language[tag])

    def pool(source: Source, tag: str) -> list[Item]:
        if tag not in examples:
            raise MissingTranslation(f"{path}: no example in {tag}")
        return list(examples[tag])

    single = len(next(iter(by_language.values()))[0].choices) == 1
    return Task(
        name=path.stem,
        version=1,
        summary=f"{sum(map(len, by_language.values()))} items of {path.name}",
        languages=tuple(by_language),
        scorer="likelihood" if single else "choice",
        read=read,
        pool=pool if examples else None,
    )


def _item(data: dict[str, Any], where: str) -> Item:
    for key in data:
        if key not in _NEEDED + _OPTIONAL and (near := nearest(key, _OPTIONAL)):
            raise InputError(f"{where}: unknown field {key!r}", f"did you mean {near}?")
    for key in _NEEDED:
        if data.get(key) is None:
            raise InputError(
                f"{where}: {key!r} is missing", f"the line has {', '.join(map(str, data))}"
            )
    said = data["language"]
    if not isinstance(said, str):
        raise _wrong(where, "language", said, "a tag such as de")
    choices = _choices(data["choices"], where)
    context = _context(data["context"], len(choices), where)
    return Item(
        id=_id(data["id"], where),
        language=canonical_tag(said, f"{where}: 'language'"),
        context=context,
        choices=choices,
        answer=_answer(data["answer"], len(choices), where),
        delimiter=_text(data, "delimiter", " ", where),
        cluster=_text(data, "cluster", "", where),
        group=_text(data, "group", "", where),
    )


def _id(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise _wrong(where, "id", value, "text or a whole number")
    return str(value)


def _choices(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong(where, "choices", value, "a list of text, the right one among them")
    for number, choice in enumerate(value):
        if not isinstance(choice, str):
            raise _wrong(where, f"choices[{number}]", choice, "text")
        if not choice.strip():
            raise InputError(f"{where}: 'choices[{number}]' is empty", "give it some text")
    return tuple(value)


def _context(value: object, num_choices: int, where: str) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise _wrong(where, "context", value, "text, or a list with text for every choice")
    if len(value) != num_choices:
        raise InputError(
            f"{where}: 'context' has {len(value)}, 'choices' has {num_choices}",
            "give one context, or one for every choice",
        )
    return tuple(value)


def _answer(value: object, num_choices: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(where, "answer", value, "the position of the right choice, from 0")
    if not 0 <= value < num_choices:
        raise _wrong(where, "answer", value, f"0 to {num_choices - 1}: it counts from 0")
    return value


def _text(data: dict[str, Any], key: str, default: str, where: str) -> str:
    value = data.get(key)
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and key != "delimiter":
        return str(value)
    if not isinstance(value, str):
        raise _wrong(where, key, value, "text")
    return value


def _wrong(where: str, key: str, value: object, wanted: str) -> InputError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return InputError(f"{where}: {key!r} is {shown}", f"give {wanted}")
