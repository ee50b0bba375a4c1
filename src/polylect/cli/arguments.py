"""What was typed after a command, as options.

Every mistake is one line that names the option, the value and what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from polylect.api.option_fields import OptionField, option_fields
from polylect.api.values import build, from_words
from polylect.base import InputError, did_you_mean

T = TypeVar("T")
_OPTION = re.compile(r"--?[a-zA-Z]")
_NUMBER = re.compile(r"-(inf|infinity|nan)", re.IGNORECASE)


def parse(
    options: type[T],
    arguments: Sequence[str],
    command: str,
    former: Mapping[str, str] | None = None,
) -> T:
    """The options that words stand for.

    Args:
        options: a dataclass with a field per option.
        arguments: what was typed after the command.
        command: its name, as it is typed.
        former: today's name of an option by its former one.

    Raises:
        InputError: an unknown option (the nearest is named), a missing or wrong value, an option
            given twice, or a number out of its range.
    """
    fields = option_fields(options)
    words = _group(arguments, fields, command, former or {})
    values: dict[tuple[str, ...], Any] = {}
    for field in fields:
        if field.name in words:
            try:
                values[field.path] = from_words(field, words[field.name])
            except InputError as error:
                raise InputError(f"{command}: {error.message}", error.hint) from None
        elif field.switch and field.opposite in words:
            values[field.path] = False
    missing = [field.label for field in fields if field.required and field.name not in words]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(f"{command}: {listed} {verb} missing", usage(fields, command))
    return build(options, values)


def usage(fields: Sequence[OptionField], command: str) -> str:
    """The command with all that must be given."""
    needed = [field for field in fields if field.required]
    words = [field.metavar for field in needed if field.place]
    words += [f"{field.name} {field.metavar}" for field in needed if not field.place]
    return " ".join(["polylect", command, *words])


def is_option(word: str) -> bool:
    """Whether a word is an option, not a value such as ``-1`` or ``-inf``."""
    return bool(_OPTION.match(word)) and not _NUMBER.fullmatch(word)


def _group(
    arguments: Sequence[str],
    fields: Sequence[OptionField],
    command: str,
    former: Mapping[str, str],
) -> dict[str, list[str]]:
    """The words of every option that is there, by its name; switches have ``true``."""
    by_name = {field.name: field for field in fields}
    opposites = {field.opposite: field for field in fields if field.opposite}
    positional: list[str] = []
    given: dict[str, list[str]] = {}
    last: OptionField | None = None
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not is_option(word):
            if word == "--":
                raise InputError(f"{command}: '--'", "leave it out; write ./-name for such a path")
            if last is not None and not _has_place(fields, positional, given):
                raise InputError(*_too_many(word, last, command))
            positional.append(word)
            continue
        typed, equals, value = word.partition("=")
        name = typed.replace("_", "-")
        field = by_name.get(name) or opposites.get(name)
        if field is None:
            if name in former:
                today = _today(former[name], [value, *words] if equals else words)
                raise InputError(f"{command}: {typed} is now {today}", f"{today} …")
            hint = did_you_mean(name, [*by_name, *opposites]) or f"polylect {command} --help"
            raise InputError(f"{command}: unknown option {typed}", hint)
        last = field
        if field.switch:
            if equals:
                hint = field.opposite if value.lower() in {"false", "no", "0", "off"} else name
                raise InputError(f"{command}: {word}: {name} takes no value",
                                 f"give {hint}" if hint else f"leave {name} out")  # fmt: skip
            twin = field.opposite if name == field.name else field.name
            if twin in given:
                raise InputError(f"{command}: {name} beside {twin}", "give one of them")
            given[name] = ["true"]
            continue
        if name in given and not field.many:
            hint = f"give it once: {name} {field.metavar}"
            raise InputError(f"{command}: {name} is given twice", hint)
        values = [value] if equals else []
        while not equals and words and not is_option(words[0]) and words[0] != "--":
            if values and not field.many:
                break
            values.append(words.pop(0))
        if not values:
            raise InputError(f"{command}: {name} needs a value", f"give {field.wanted}")
        given.setdefault(name, []).extend(values)
    return given | _placed(positional, fields, given, command)


def _today(name: str, words: Sequence[str]) -> str:
    """Today's name of a former option; ``--NAME`` stands for each name of its ``NAME=VALUE``."""
    if name != "--NAME":
        return name
    pairs = [word.partition("=") for word in takewhile(lambda word: not is_option(word), words)]
    named = [f"--{key.replace('_', '-')} {value}" for key, _, value in pairs if key and value]
    return " ".join(named) or "an option of each name, --NAME VALUE"


def _placed(
    positional: Sequence[str],
    fields: Sequence[OptionField],
    given: Mapping[str, list[str]],
    command: str,
) -> dict[str, list[str]]:
    """The positional arguments by the names of their options."""
    places = [field for field in fields if field.place and field.name not in given]
    placed: dict[str, list[str]] = {}
    rest = list(positional)
    for number, field in enumerate(places):
        later = len([other for other in places[number + 1 :] if other.required])
        num = max(len(rest) - later, 0) if field.many else min(len(rest), 1)
        if num:
            placed[field.name], rest = rest[:num], rest[num:]
    if rest:
        names = " and ".join(field.place for field in fields if field.place)
        takes = f"it takes {names}, and options" if names else "it takes options only"
        raise InputError(f"{command}: unexpected {rest[0]!r}",
                         f"{takes}: polylect {command} --help")  # fmt: skip
    return placed


def _has_place(
    fields: Sequence[OptionField], positional: Sequence[str], given: Mapping[str, list[str]]
) -> bool:
    places = [field for field in fields if field.place and field.name not in given]
    return len(positional) < len(places) or any(field.many for field in places)


def _too_many(word: str, last: OptionField, command: str) -> tuple[str, str]:
    """Message and hint for a word that no option and no place takes."""
    if last.switch:
        hint = f"{last.opposite} turns it off" if last.opposite else "leave it out"
        return f"{command}: {word!r} after {last.name}, which takes no value", hint
    return f"{command}: {word!r} after {last.name}, which takes one value", (
        f"polylect {command} --help"
    )
