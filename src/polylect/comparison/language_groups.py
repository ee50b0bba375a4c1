"""Groups of languages that a comparison averages over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.base import NO_CLASS, UNKNOWN, UNKNOWN_SCRIPT, Language, described

ALL_LANGUAGES = "all languages"
"""Name of the group that every comparison has."""

GIVEN = "given"
"""Kind of a group that the caller named."""

HALVES = "latin-ie"
"""Kind of the quantization paper's two groups: Latin script and Indo-European, all others."""

_NO_SCRIPT = "Zyyy"
_HALVES = ("Latin script, Indo-European", "all other languages")


@dataclass(frozen=True)
class LanguageGroup:
    """A named group of languages.

    Attributes:
        kind: ``all``, ``script``, ``family``, ``class``, ``latin-ie`` or ``given``.
        name: shown in tables.
        members: tags.
    """

    kind: str
    name: str
    members: tuple[str, ...]


def groups_of(
    tags: Sequence[str], given: Mapping[str, Sequence[str]] | None = None
) -> list[LanguageGroup]:
    """All languages, then the given groups, or by default those of script, family and class.

    A language is in no group of a kind that is unknown of it (docs/concepts/languages.md); ``und``
    and code are only in ``ALL_LANGUAGES``.

    >>> [group.name for group in groups_of(["de", "ja"])][:3]
    ['all languages', 'Latin script, Indo-European', 'all other languages']
    """
    everyone = LanguageGroup("all", ALL_LANGUAGES, tuple(tags))
    if given is not None:
        named = [LanguageGroup(GIVEN, name, tuple(members)) for name, members in given.items()]
        return [everyone, *named]
    groups: dict[tuple[int, str, str], list[str]] = {}
    for language in map(described, tags):
        for order, (kind, name) in enumerate(_names(language)):
            if name:
                groups.setdefault((order, kind, name), []).append(language.tag)
    return [everyone] + [
        LanguageGroup(kind, name, tuple(members))
        for (_, kind, name), members in sorted(groups.items())
    ]


def _names(language: Language) -> tuple[tuple[str, str], ...]:
    """Kind and name of each group that a language is in; no name where nobody knows."""
    has_script = language.script not in {UNKNOWN_SCRIPT, _NO_SCRIPT}
    has_family = language.family not in {UNKNOWN, "none"}
    first_half = language.script == "Latn" and language.family == "Indo-European"
    return (
        (HALVES, _HALVES[0 if first_half else 1] if has_script and has_family else ""),
        ("script", language.script if has_script else ""),
        ("family", language.family if has_family else ""),
        ("class", f"resource class {language.resource_class}"
                  if language.resource_class != NO_CLASS else ""),
    )  # fmt: skip
