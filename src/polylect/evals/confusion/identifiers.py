"""Language identifiers of lines; their errors differ, so that several are run side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from polylect.base import LANGUAGES, InputError, did_you_mean, import_optional
from polylect.evals.confusion.rules import code_of
from polylect.evals.confusion.segmenters import EXTRA
from polylect.text import identify_all, most_probable

UNKNOWN = "unknown"
LEAST_PROBABILITY = 0.3
"""The benchmark labels less probable lines as unknown."""


@dataclass(frozen=True)
class Identifier:
    """A language identifier.

    Attributes:
        name: in tables and on the command line.
        summary: how it decides, for the page.
        label: the language code of each line, or ``unknown``.
    """

    name: str
    summary: str
    label: Callable[[Sequence[str]], list[str]]


def _benchmark(lines: Sequence[str]) -> list[str]:
    return [
        label if probability > LEAST_PROBABILITY else UNKNOWN
        for label, probability in most_probable(lines)
    ]


def _restricted(lines: Sequence[str]) -> list[str]:
    languages = identify_all(lines, LANGUAGES.values())
    return [UNKNOWN if language is None else code_of(language.tag) for language, _ in languages]


def _lingua(lines: Sequence[str]) -> list[str]:
    languages = _lingua_detector().detect_languages_in_parallel_of(list(lines))
    return [UNKNOWN if language is None else _lingua_code(language) for language in languages]


def _lingua_code(language: Any) -> str:
    return language.iso_code_639_1.name.lower()


@cache
def _lingua_detector() -> Any:
    lingua = import_optional("lingua", "the identifier 'lingua'", EXTRA)
    codes = {code_of(tag) for tag in LANGUAGES}
    known = [language for language in lingua.Language.all() if _lingua_code(language) in codes]
    return lingua.LanguageDetectorBuilder.from_languages(*known).build()


_ALL = (
    Identifier(
        "benchmark",
        "fastText's lid.176 among all its 176 languages, unknown below 0.3: the benchmark's"
        " rule, with the compressed model (lid.176.ftz)",
        _benchmark,
    ),
    Identifier(
        "polylect",
        "the same model among the 23 languages only, markup and addresses taken off",
        _restricted,
    ),
    Identifier(
        "lingua",
        "lingua among the 23 languages: n-grams of one to five letters and rules",
        _lingua,
    ),
)
IDENTIFIERS: Mapping[str, Identifier] = MappingProxyType(
    {identifier.name: identifier for identifier in _ALL}
)


def find_identifier(name: str) -> Identifier:
    """The identifier of a name.

    Raises:
        InputError: there is none.
    """
    if name not in IDENTIFIERS:
        hint = did_you_mean(name, IDENTIFIERS) or f"known are {', '.join(IDENTIFIERS)}"
        raise InputError(f"no identifier {name!r}", hint)
    return IDENTIFIERS[name]
