"""Names that look alike: different text that people take for one name."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from polylect.base.ledger import Ledger

_SPACE = re.compile(r"\s+")
# Letters and marks that show nothing, beside the characters of Unicode's category "format".
_BLANKS = dict.fromkeys(map(ord, "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"))


def _without_invisible(name: str) -> str:
    shown = (char for char in name if unicodedata.category(char) not in {"Cf", "Cc", "Cn", "Co"})
    return "".join(shown).translate(_BLANKS)


_MOST_LINES = 8
_STEPS: dict[str, Callable[[str], str]] = {
    "spaces": lambda name: _SPACE.sub("", name),
    "characters that do not show": _without_invisible,
    "spelling in Unicode": lambda name: unicodedata.normalize("NFKC", name),
    "case": str.casefold,
}
"""What makes names alike, by what they then differ in."""


def look_alikes(names: Iterable[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Groups of different names that look alike, sorted, each with what they differ in.

    Names look alike that differ only by spaces, by characters that do not show (zero-width ones),
    by how Unicode spells them (NFC and NFD), or by case.

    Example:
        >>> look_alikes(["Model", "other", "model "])
        [(('Model', 'model '), ('spaces', 'case'))]
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        # The same for plain ASCII, of which a file may have millions of names.
        is_plain = name.isascii() and name.isprintable()
        fold = "".join(name.split()).lower() if is_plain else _fold(name, _STEPS)
        groups.setdefault(fold, []).append(name)
    return [(tuple(group), _kinds(group)) for group in groups.values() if len(group) > 1]


def look_alike_lines(what: str, names: Iterable[str]) -> list[str]:
    """A line for every group of names that look alike: the names, and what they differ in.

    Args:
        what: what they are names of, in the plural: ``models``.
        names: the names.
    """
    lines: list[str] = []
    for group, kinds in look_alikes(names):
        shown = list(map(repr, group))
        if len(set(shown)) < len(shown) or "spelling in Unicode" in kinds:
            shown = list(map(ascii, group))
        lines.append(f"{what} {', '.join(shown)} (other {', '.join(kinds)})")
    return lines


def count_look_alikes(ledger: Ledger, what: str, names: Iterable[str]) -> None:
    """Name in a ledger the names that look alike and are kept apart.

    Args:
        ledger: gets an entry for each of the first groups that it does not have yet.
        what: what they are names of, in the plural: ``models``.
        names: the names.
    """
    lines = look_alike_lines(what, names)
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"{len(lines) - _MOST_LINES:,} more groups of {what}"]
    known = ledger.by_event()
    for line in lines:
        event = f"look alike, kept apart: {line}"
        if event not in known:
            ledger.count(event)


def _fold(name: str, kinds: Iterable[str]) -> str:
    kinds = list(kinds)
    for kind in kinds:
        name = _STEPS[kind](name)
    # Folding the case may write a letter apart from its mark.
    return unicodedata.normalize("NFKC", name) if "spelling in Unicode" in kinds else name


def _kinds(group: Iterable[str]) -> tuple[str, ...]:
    """What names differ in that look alike: all that has to be taken away to make them equal."""

    def num_different(kinds: Iterable[str]) -> int:
        return len({_fold(name, kinds) for name in group})

    needed = [kind for kind in _STEPS if num_different([k for k in _STEPS if k != kind]) > 1]
    # A no-break space is another space and another spelling of one: the first is named.
    return tuple(needed) or (
        next((k for k in _STEPS if num_different([k]) == 1), "spelling in Unicode"),
    )
