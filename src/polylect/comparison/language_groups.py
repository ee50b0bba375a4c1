"""Groups of languages that a comparison averages over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.base import LANGUAGES

ALL_LANGUAGES = "all languages"
"""Name of the group that every comparison has."""

GIVEN = "given"
"""Kind of a group that the caller named."""

HALVES = "latin-ie"
"""Kind of the quantization paper's two groups: Latin script and Indo-European, all others."""

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

    A tag that polylect's table of languages lacks (``und``, code, others) is only in
    ``ALL_LANGUAGES``.

    >>> [group.name for group in groups_of(["de", "ja"])][:3]
    ['all languages', 'Latin script, Indo-European', 'all other languages']
    """
    everyone = LanguageGroup("all", ALL_LANGUAGES, tuple(tags))
    if given is not None:
        named = [LanguageGroup(GIVEN, name, tuple(members)) for name, members in given.items()]
        return [everyone, *named]
    groups: dict[tuple[int, str, str], list[str]] = {}
    for language in [LANGUAGES[tag] for tag in tags if tag in LANGUAGES]:
        first_half = language.script == "Latn" and language.family == "Indo-European"
        names = (
            (HALVES, _HALVES[0] if first_half else _HALVES[1]),
            ("script", language.script),
            ("family", language.family),
            ("class", f"resource class {language.resource_class}"),
        )
        for order, (kind, name) in enumerate(names):
            groups.setdefault((order, kind, name), []).append(language.tag)
    return [everyone] + [
        LanguageGroup(kind, name, tuple(members))
        for (_, kind, name), members in sorted(groups.items())
    ]
