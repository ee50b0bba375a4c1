"""Where a verdict in brackets stands for itself: on its line, behind the words that are asked for.

Nothing is read of what the other words say, in any language. They may stand in other sentences; on
the verdict's own they make it unreadable.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum

END = r"[\s\"'”»«›)\]}>.。!！…]*"
"""Marks that may end the line of a verdict. A question mark may not: "[[A>B]]? No.\""""

UNFINISHED = (":", "：", ",", "，", "、", ";", "；", "?", "？")
"""What a line ends with that the next one goes on with: "Rejected:", "Which is worse?"."""
_MARKS = re.compile(r"[\s>#\"'“«„(\[{•–—-]*(?:\d{1,2}[.)]\s)?[\s\"'“«„(\[{]*")
_OPENING = re.compile(r"[\s\"'“«„(\[{]*$")
# An abbreviation ("e.g.", "z. B.", "vs.") ends no sentence.
_SENTENCE_END = re.compile(
    r"(?:(?<=[^\W\d_]{3})|(?<=[\d)\]\"'”»]))[.!…]+[\"'”»)\]]*\s+|[。！]+[\"'”»)\]]*\s*"
)


class Place(Enum):
    """Where a verdict stands for itself."""

    LABELED = "on a line of its own, behind the label that says that it is the verdict"
    BARE = "on a line of its own"
    INSIDE = "as an option with its words, or as the last sentence of a line"


def standing(
    text: str,
    matches: Sequence[re.Match[str]],
    value: Callable[[re.Match[str]], object],
    before: re.Pattern[str],
) -> re.Match[str] | None:
    """The verdict of a text; None if none stands for itself, or several differ.

    Of verdicts that differ the last counts only on a line of its own: behind its label, or bare
    where no other is bare. The published readers take more: arena-hard-auto v0.1 any place if all
    are equal, its successor the last, MT-bench the first.

    Args:
        text: of the judge, without markup.
        matches: the verdicts in brackets, in order.
        value: what a match says.
        before: what may stand before a verdict; its group ``named`` or ``noun`` says that this is
            the verdict, ``side1`` and ``tie1`` (or 2) repeat what it is.
    """
    if not matches:
        return None
    last = matches[-1]
    place = _place(text, matches, len(matches) - 1, value, before)
    others = [i for i, match in enumerate(matches) if value(match) != value(last)]
    if place is None or not others:
        return last if place else None
    places = [_place(text, matches, i, value, before) for i in others]
    is_final = place is Place.LABELED or (place is Place.BARE and Place.BARE not in places)
    return last if is_final else None


def _place(
    text: str,
    matches: Sequence[re.Match[str]],
    number: int,
    value: Callable[[re.Match[str]], object],
    before: re.Pattern[str],
) -> Place | None:
    """Where a verdict stands; None if other words of its line or sentence may turn it around."""
    match = matches[number]
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    end = len(text) if end < 0 else end
    for other in matches:
        if start <= other.start() < end and value(other) != value(match):
            return None
    first = next(other for other in matches if other.start() >= start)
    if not re.fullmatch(END, _without(text, matches, match.end(), end)):
        return None
    head = text[start : first.start()]
    if first is not match and not re.fullmatch(END, _without(text, matches, first.end(), end)):
        return None
    own_line = head[_whole(_MARKS.match(head)) :]
    if own_line:
        return _behind(own_line, match, before)
    previous = text[:start].rstrip().rpartition("\n")[2]
    # A line that ends with a label, a comma or a question goes on with the verdict.
    if not previous.endswith(UNFINISHED):
        return Place.BARE
    return _behind(previous[_whole(_MARKS.match(previous)) :], match, before)


def _behind(words: str, match: re.Match[str], before: re.Pattern[str]) -> Place | None:
    """Where a verdict stands behind the words of its line, or those of its sentence."""
    place = _labeled(words, match, before)
    sentence = _SENTENCE_END.split(words)[-1]
    if place is not None or sentence == words:
        return place
    sentence = sentence[_whole(_MARKS.match(sentence)) :]
    is_read = not sentence or _labeled(sentence, match, before)
    return Place.INSIDE if is_read else None


def _labeled(head: str, match: re.Match[str], before: re.Pattern[str]) -> Place | None:
    """Where a verdict stands behind these words; None if they are not those asked for."""
    label = before.fullmatch(_OPENING.sub("", head) + " ") or before.fullmatch(head)
    if label is None:
        return None
    groups = label.groupdict()
    for suffix in ("1", "2"):
        side, tie = groups.get(f"side{suffix}"), groups.get(f"tie{suffix}")
        if (side or tie) and not _agrees(side, match):
            return None
    return Place.LABELED if groups.get("named") or groups.get("noun") else Place.INSIDE


def _agrees(side: str | None, match: re.Match[str]) -> bool:
    """Whether an option's words name the side that its label does; None is a tie."""
    first, sign, second = match.groups()
    if sign == "=":
        return side is None
    return side is not None and side.upper() == (first if ">" in sign else second)


def _without(text: str, matches: Sequence[re.Match[str]], start: int, end: int) -> str:
    """A part of the text without the verdicts in it."""
    for match in reversed(matches):
        if start <= match.start() < end:
            text = text[: match.start()] + text[match.end() :]
            end -= match.end() - match.start()
    return text[start:end]


def _whole(match: re.Match[str] | None) -> int:
    """Length of what was matched at the beginning."""
    return match.end() if match else 0
