"""Which language a line is in, by several opinions that are wrong in different places."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from polylect.base import LANGUAGES, InputError, did_you_mean
from polylect.evals.confusion.rules import code_of
from polylect.evals.confusion.segmenters import package
from polylect.text import identify_all, most_probable

UNKNOWN = "unknown"
LEAST_PROBABILITY = 0.3
"""Below this the benchmark takes a label for unknown."""


@dataclass(frozen=True)
class Identifier:
    """An opinion on the language of lines.

    Attributes:
        name: what tables call it.
        summary: how it decides, for the page.
        label: codes of the languages of lines, or ``unknown``.
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
    found = identify_all(lines, LANGUAGES.values())
    return [UNKNOWN if one is None else code_of(one.tag) for one, _ in found]


def _lingua(lines: Sequence[str]) -> list[str]:
    found = _lingua_detector().detect_languages_in_parallel_of(list(lines))
    return [UNKNOWN if one is None else one.iso_code_639_1.name.lower() for one in found]


@cache
def _lingua_detector() -> Any:
    lingua = package("lingua", "the second identifier")
    codes = {code_of(tag) for tag in LANGUAGES}
    known = [one for one in lingua.Language.all() if one.iso_code_639_1.name.lower() in codes]
    return lingua.LanguageDetectorBuilder.from_languages(*known).build()


IDENTIFIERS: Mapping[str, Identifier] = MappingProxyType(
    {
        "benchmark": Identifier(
            "benchmark",
            "fastText's lid.176 among all its 176 languages, unknown below 0.3: the benchmark's"
            " rule, with the compressed model (lid.176.ftz)",
            _benchmark,
        ),
        "polylect": Identifier(
            "polylect",
            "the same model among the 23 languages only, markup and addresses taken off",
            _restricted,
        ),
        "lingua": Identifier(
            "lingua",
            "lingua among the 23 languages: n-grams of one to five letters and rules",
            _lingua,
        ),
    }
)


def find_identifier(name: str) -> Identifier:
    """The identifier of a name.

    Raises:
        InputError: there is none.
    """
    found = IDENTIFIERS.get(name)
    if found is None:
        raise InputError(
            f"no identifier {name!r}",
            did_you_mean(name, IDENTIFIERS) or f"known are {', '.join(IDENTIFIERS)}",
        )
    return found
