"""Languages in the names of files and folders.

A name says a language where it is hardly anything else: a tag or alias of one of the default
languages, a code of two letters, or of three for a language that has one of two (``cym``), that is
no English word, a tag with a script or region, a private tag, a name of a language. Any code at all
says its language where that was asked for, or where all that stands beside it are codes too.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from polylect.base import CODE, find_language, is_registered, language, standard_tag
from polylect.mixtures.asked import EveryLanguage

_WORDS = frozenset(
    {"am", "an", "as", "be", "co", "cv", "id", "io", "is", "la", "lo", "mi", "ml", "my", "na", "no",
     "om", "or", "ps", "rm", "sc", "sh", "so", "ss", "to", "ts", "ve", "vo"}
)  # fmt: skip
"""Two-letter codes that are words or common abbreviations."""
_THREE = """
arm art ave ben bin bis cat cor cos dan est fin fry gas hat her ice ina jav kin lat lin lit lug mal
man mar may mon nor old pan per run sag san sat sin son spa sun tam tel tem ton war
"""
_WORDS_OF_THREE = frozenset(_THREE.split())
"""Codes of three letters that are words, or short for some."""


def says(part: str) -> str:
    """The tag that a part of a name says by itself; empty for none.

    >>> [says(part) for part in ("de", "cy", "sr_Latn", "Welsh", "my", "new", "data", "x-mine")]
    ['de', 'cy', 'sr-Latn', 'cy', '', '', '', 'x-mine']
    """
    tag = _tag(part)
    if not tag:
        return ""
    if find_language(part) is not None or tag.startswith("x-"):
        return tag
    plain = part.strip().lower().replace("_", "-")
    base, dash, _ = plain.partition("-")
    if dash:
        # "to-do" is no Tongan: a word needs its script or region in the usual case.
        return tag if base not in _WORDS or part != part.lower() else ""
    if len(plain) == 2:
        return tag if plain not in _WORDS else ""
    if len(plain) == 3:
        has_shorter = len(tag.partition("-")[0]) == 2
        return tag if has_shorter and plain not in _WORDS_OF_THREE else ""
    return tag if len(plain) >= 5 else ""


@lru_cache(maxsize=4096)
def _tag(part: str) -> str:
    """The tag of a part that is a registered tag or a name of a language; empty for others."""
    tag = standard_tag(part) if part.strip() else None
    if part.strip().lower() == CODE.tag:
        return CODE.tag
    return language(part).tag if tag is not None and is_registered(tag) else ""


def _any_tag(part: str) -> str:
    """The tag of a part that is well-formed, registered or not; empty for others."""
    tag = _tag(part)
    return tag or (standard_tag(part) if part.strip() else None) or ""


class Namer:
    """Reads the languages in the names of the files of a folder."""

    def __init__(self, names: Iterable[Path], languages: Collection[str]) -> None:
        """Take the names of all files, relative to their folder, and the languages asked for."""
        self._asked = () if isinstance(languages, EveryLanguage) else tuple(languages)
        beside: dict[tuple[str, ...], set[str]] = {}
        for name in names:
            for place, part in _places(name):
                beside.setdefault(place, set()).add(part)
        self._codes = {place for place, parts in beside.items() if _are_codes(parts)}

    def language(self, name: Path) -> str:
        """The tag in a file's name, else in the nearest folder's; empty without one."""
        for place, part in _places(name):
            tag = says(part)
            if not tag and (place in self._codes or _any_tag(part) in self._asked):
                tag = _any_tag(part)
            if tag:
                return tag
        return ""

    def doubtful(self, name: Path) -> str:
        """The first part of a name that is a code of a language, and was not taken for it."""
        return next((part for _, part in _places(name) if len(part) <= 3 and _tag(part)), "")


def _places(name: Path) -> Sequence[tuple[tuple[str, ...], str]]:
    """Where each part of a name stands, and the part; the nearest to its end first."""
    parts = name.name.split(".")[:-1]
    folder = name.parts[:-1]
    places = [((*folder, str(i), str(len(parts))), part) for i, part in enumerate(parts)]
    folders = [((*folder[:i], "/"), part) for i, part in enumerate(folder)]
    return [*reversed(places), *reversed(folders)]


def _are_codes(parts: set[str]) -> bool:
    """Whether several names at one place are all codes, and one of them can be nothing else."""
    return len(parts) > 1 and all(map(_tag, parts)) and any(map(says, parts))
