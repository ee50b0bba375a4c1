"""Verbs: one function of its options, called with keywords in Python and with words in a shell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from keyword import iskeyword
from typing import Any, Generic, TypeVar, get_args

from polylect.api.option_fields import option_fields
from polylect.api.results import Result
from polylect.api.values import from_keywords
from polylect.base import InputError, PolylectError

Options = TypeVar("Options")
R = TypeVar("R", bound=Result)
_TABLE = re.compile(
    r"[^\s'\"]*polylect-tables-[^/]+/[0-9a-f]+/([^/:]+)\.(?:jsonl|parquet)(?::(\d+))?"
)
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?: ([A-Z0-9][A-Z0-9_./=]*)(?![\w])(?! is ))?")


@dataclass(frozen=True)
class Verb(Generic[Options]):
    """One job.

    Attributes:
        command: its words on the command line, ``train sft``.
        name: its name in Python, ``train.sft``.
        options: the dataclass of its options.
        function: does it.
    """

    command: str
    name: str
    options: type[Options]
    function: Callable[[Options], Result]

    @property
    def result(self) -> type[Result]:
        """What it gives: the first type that its function says it returns."""
        hint = self.function.__annotations__["return"]
        return get_args(hint)[0] if get_args(hint) else hint

    def run(self, options: Options) -> Result:
        """Do it; what is written keeps the command that made it."""
        from polylect.runs import invocation

        with invocation([*self.command.split(), *as_words(options)], self.command):
            return self.function(options)


def verb(
    command: str, options: type[Options], *, name: str = ""
) -> Callable[[Callable[[Options], R]], Callable[..., R]]:
    """Make a function of options into a call with keywords; ``.verb`` keeps the ``Verb``.

    Args:
        command: its words on the command line.
        options: the dataclass.
        name: its name in Python where that is not the function's.
    """

    def make(function: Callable[[Options], R]) -> Callable[..., R]:
        job = Verb(command, name or function.__name__, options, function)

        @wraps(function)
        def call(
            *places: Any, config: Options | Mapping[str, Any] | None = None, **keywords: Any
        ) -> R:
            return verb_call(job, places, config, keywords)

        call.__dict__["verb"] = job
        return call

    return make


def verb_call(
    job: Verb[Any], places: tuple[Any, ...], config: Any, keywords: Mapping[str, Any]
) -> Any:
    """The result of a verb with these values; its errors name keywords, not options.

    Args:
        job: the verb.
        places: values without a name.
        config: options, or a dict of them, that hold where no keyword says otherwise.
        keywords: values by name.
    """
    try:
        return job.run(_given(job, places, config, keywords))
    except PolylectError as error:
        raise type(error)(in_python(error.message), in_python(error.hint)) from None


def _given(
    job: Verb[Options], places: tuple[Any, ...], config: Any, keywords: Mapping[str, Any]
) -> Options:
    fields = [field for field in option_fields(job.options) if field.place]
    values = dict(keywords)
    if len(places) > len(fields):
        names = ", ".join(field.key for field in fields)
        raise InputError(f"{job.name}: {len(places)} values without a name", f"it takes {names}")
    for field, value in zip(fields, places, strict=False):
        if field.key in values:
            raise InputError(f"{job.name}: {field.key} is given twice", "give it once")
        values[field.key] = value
    if isinstance(config, Mapping):
        return from_keywords(job.options, {**config, **values}, job.name)
    if config is not None and not isinstance(config, job.options):
        raise InputError(
            f"{job.name}: config is a {type(config).__name__}",
            f"give a {job.options.__name__}, a dict, or keywords",
        )
    return from_keywords(job.options, values, job.name, config)


def in_python(text: str) -> str:
    """A message with options as keywords, and a table by its name.

    >>> in_python("--top-p is 2: choose another --out DIR")
    'top_p is 2: choose another out=DIR'
    >>> in_python("/tmp/polylect-tables-x_1/0a1b/votes.jsonl:3: 'count' is 0")
    "votes: row 3: 'count' is 0"
    """

    def keyword(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        name += "_" if iskeyword(name) else ""
        return name + (f"={match[2]}" if match[2] else "")

    def table(match: re.Match[str]) -> str:
        return match[1] + (f": row {match[2]}" if match[2] else "")

    return _OPTION.sub(keyword, _TABLE.sub(table, text))


def as_words(options: Any) -> list[str]:
    """The words that give these options, without those that have their defaults."""
    places: list[str] = []
    words: list[str] = []
    for field in option_fields(type(options)):
        value = options
        for name in field.path:
            value = getattr(value, name)
        if value is None or (not field.required and value == field.default):
            continue
        if field.place:
            places += map(str, value) if field.many else [str(value)]
        elif field.switch:
            words.append(field.name if value else field.opposite)
        elif field.pairs:
            words += [field.name, *(f"{name}={_word(part)}" for name, part in value.items())]
        elif field.many:
            words += [field.name, *map(_word, value)]
        else:
            # A word that begins with a dash would be read as an option.
            word = _word(value)
            words += [f"{field.name}={word}"] if word.startswith("-") else [field.name, word]
    return [*places, *words]


def _word(value: object) -> str:
    value = getattr(value, "value", value)
    return str(value).lower() if isinstance(value, bool) else str(value)
