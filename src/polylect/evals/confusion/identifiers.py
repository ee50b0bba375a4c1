"""Language identifiers of lines; their errors differ, so that several are run side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polylect.base import InputError, did_you_mean
from polylect.evals.confusion.rules import code_of
from polylect.text import (
    DEFAULT_IDENTIFIER,
    TextIdentifier,
    is_same,
    most_probable,
    open_identifier,
    tag_of_label,
)

UNKNOWN = "unknown"
LEAST_PROBABILITY = 0.3
"""The benchmark labels less probable lines as unknown."""
_NAMES = {"polylect": DEFAULT_IDENTIFIER}
"""Names of earlier versions."""


@dataclass(frozen=True)
class Identifier:
    """A language identifier of lines.

    Attributes:
        name: in tables and on the command line.
        summary: how it decides, for the page.
        label: what each line seems to be: a tag, or ``unknown``.
        matches: whether a label is the language that was asked for. The benchmark's labels have no
            script; the others tell the scripts of Chinese and Serbian apart.
        cannot_tell: why it cannot tell whether text is in a language; empty where it can.
    """

    name: str
    summary: str
    label: Callable[[Sequence[str]], list[str]]
    cannot_tell: Callable[[str], str] = lambda _: ""
    matches: Callable[[str, str], bool] = is_same


def _benchmark(lines: Sequence[str]) -> list[str]:
    return [
        code_of(tag_of_label(label)) if probability > LEAST_PROBABILITY else UNKNOWN
        for label, probability in most_probable(lines)
    ]


def _of_text(name: str, identifier: TextIdentifier) -> Identifier:
    def label(lines: Sequence[str]) -> list[str]:
        return [guess.tag or UNKNOWN for guess in identifier.guess(lines)]

    return Identifier(name, identifier.summary, label, identifier.cannot_tell)


IDENTIFIERS = ("benchmark", "polylect", "lingua")
"""Names of those that are built in."""


def find_identifier(name: str) -> Identifier:
    """The identifier of a name: a built-in one, ``FILE.py:function``, or a command.

    Raises:
        InputError: there is none, or what it needs is not installed.
    """
    if name == "benchmark":
        return Identifier(
            name,
            "fastText's lid.176 among all its 176 languages, unknown below 0.3: the benchmark's"
            " rule, with the compressed model (lid.176.ftz)",
            _benchmark,
            open_identifier(DEFAULT_IDENTIFIER).cannot_tell,
            lambda label, language: label == code_of(language),
        )
    try:
        identifier = open_identifier(_NAMES.get(name, name))
    except InputError as error:
        near = did_you_mean(name, IDENTIFIERS)
        raise InputError(error.message, near) if near else error from None
    return _of_text(name, identifier)
