"""Groups of languages that a comparison sums up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.base import LANGUAGES

ALL = "all languages"
"""The group that every comparison has."""

GIVEN = "given"
"""The kind of a group that the caller named."""


HALVES = "latin-ie"
"""The kind of the two groups of the quantization paper."""


@dataclass(frozen=True)
class LanguageGroup:
    """A named group of languages.

    Attributes:
        kind: ``all``, ``script``, ``family``, ``class``, ``latin-ie`` or ``given``.
        name: of the group.
        members: tags.
    """

    kind: str
    name: str
    members: tuple[str, ...]


def places(tags: Sequence[str], given: Mapping[str, Sequence[str]] | None) -> list[LanguageGroup]:
    """All languages, then the given groups; without any, those that languages fall into by nature.

    The quantization paper's two: Latin script and Indo-European against all others. A language
    that the table of languages does not hold (``und``, code, others) is only in ``ALL``.
    """
    whole = [LanguageGroup("all", ALL, tuple(tags))]
    if given is not None:
        return whole + [LanguageGroup(GIVEN, name, tuple(one)) for name, one in given.items()]
    known = [LANGUAGES[tag] for tag in tags if tag in LANGUAGES]
    found: dict[tuple[str, str], list[str]] = {}
    for one in known:
        near = one.script == "Latn" and one.family == "Indo-European"
        found.setdefault(("0latin-ie", _LATIN_IE[0] if near else _LATIN_IE[1]), []).append(one.tag)
        found.setdefault(("1script", one.script), []).append(one.tag)
        found.setdefault(("2family", one.family), []).append(one.tag)
        found.setdefault(("3class", f"resource class {one.resource_class}"), []).append(one.tag)
    return whole + [
        LanguageGroup(kind[1:], name, tuple(members))
        for (kind, name), members in sorted(found.items())
    ]


_LATIN_IE = ("Latin script, Indo-European", "all other languages")
