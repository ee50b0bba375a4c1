"""What was typed after a command, checked against its options before it is read.

Every mistake is one line that names the option, the value and what is allowed; the parser behind
(tyro) then only converts what fits.
"""

import re
from collections.abc import Sequence

from polylect.base import InputError, did_you_mean
from polylect.cli.option_fields import OptionField

_OPTION = re.compile(r"--?[a-zA-Z]")
_NUMBER = re.compile(r"-(inf|infinity|nan)", re.IGNORECASE)
_CONVERTED = (int, float)


def check_arguments(
    arguments: Sequence[str], fields: Sequence[OptionField], command: str
) -> list[str]:
    """The arguments in the one form that has no two readings: positional ones, then options.

    Args:
        arguments: what was typed after the command.
        fields: the options of the command.
        command: its name, as it is typed.

    Raises:
        InputError: an unknown option, a missing value, one too many, one of a wrong kind, an
            option given twice, or one that is missing.
    """
    positional, given = _group(arguments, fields, command)
    places = [field for field in fields if field.positional]
    _check_places(positional, places, command)
    words = list(positional)
    for name, values in given.items():
        field = next((field for field in fields if field.name == name), None)
        if field is None or field.switch:
            words.append(name)
            continue
        for value in values:
            _check_value(name, value, field, command)
        if field.repeats or len(values) == 1:
            words += [f"{name}={value}" for value in values]
        else:
            words += [name, *values]
    missing = [field for field in places[len(positional) :] if field.required]
    missing += [f for f in fields if f.required and not f.positional and f.name not in given]
    if missing:
        names = [field.name for field in missing]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        verb = "is" if len(names) == 1 else "are"
        raise InputError(f"{command}: {listed} {verb} missing", usage(fields, command))
    return words


def usage(fields: Sequence[OptionField], command: str) -> str:
    """The command with all that must be given."""
    needed = [field for field in fields if field.required]
    words = [field.metavar for field in needed if field.positional]
    words += [f"{field.name} {field.metavar}" for field in needed if not field.positional]
    return " ".join(["polylect", command, *words])


def is_option(word: str) -> bool:
    """Whether a word is an option, not a value such as ``-1`` or ``-inf``."""
    return bool(_OPTION.match(word)) and not _NUMBER.fullmatch(word)


def _group(
    arguments: Sequence[str], fields: Sequence[OptionField], command: str
) -> tuple[list[str], dict[str, list[str]]]:
    """The positional arguments, and the values of every option that is there."""
    by_name = {field.name: field for field in fields if not field.positional}
    opposites = {field.opposite: field.name for field in fields if field.opposite}
    positional: list[str] = []
    given: dict[str, list[str]] = {}
    last: OptionField | None = None
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not is_option(word):
            if word == "--":
                raise InputError(f"{command}: '--'", "leave it out; write ./-name for such a path")
            if last is not None and not _has_place(fields, positional):
                raise InputError(*_too_many(word, last, command))
            positional.append(word)
            continue
        typed, equals, value = word.partition("=")
        name = typed.replace("_", "-")
        field = by_name.get(name) or by_name.get(opposites.get(name, ""))
        if field is None:
            known = [*by_name, *opposites]
            hint = did_you_mean(name, known) or f"polylect {command} --help"
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
            given[name] = []
            continue
        if name in given and not field.repeats:
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
    return positional, given


def _has_place(fields: Sequence[OptionField], positional: Sequence[str]) -> bool:
    places = [field for field in fields if field.positional]
    return len(positional) < len(places) or any(field.many for field in places)


def _too_many(word: str, last: OptionField, command: str) -> tuple[str, str]:
    """Message and hint for a word that no option and no place takes."""
    if last.switch:
        hint = f"{last.opposite} turns it off" if last.opposite else "leave it out"
        return f"{command}: {word!r} after {last.name}, which takes no value", hint
    return f"{command}: {word!r} after {last.name}, which takes one value", (
        f"polylect {command} --help"
    )


def _check_places(values: Sequence[str], places: Sequence[OptionField], command: str) -> None:
    """Refuse positional arguments that are too many or of a wrong kind."""
    many = any(field.many for field in places)
    if len(values) > len(places) and not many:
        names = " and ".join(field.name for field in places)
        takes = f"it takes {names}, and options" if names else "it takes options only"
        raise InputError(
            f"{command}: unexpected {values[len(places)]!r}",
            f"{takes}: polylect {command} --help",
        )
    for number, value in enumerate(values):
        field = places[min(number, len(places) - 1)]
        _check_value(field.name, value, field, command)


def _check_value(name: str, value: str, field: OptionField, command: str) -> None:
    """Refuse a value of a wrong kind. Ranges are checked once all options are known."""
    shown = repr(value if len(value) <= 60 else value[:57] + "...")
    if field.choices:
        if value not in field.choices:
            near = did_you_mean(value, field.choices)
            hint = f"{near} allowed are {field.wanted}" if near else f"choose {field.wanted}"
            raise InputError(f"{command}: {name} is {shown}", hint)
        return
    if field.kind in _CONVERTED:
        try:
            field.kind(value)
        except ValueError:
            raise InputError(f"{command}: {name} is {shown}", f"give {field.wanted}") from None
    elif field.wanted == "a path" and not value.strip():
        raise InputError(f"{command}: {name} is {shown}", "give a path")
