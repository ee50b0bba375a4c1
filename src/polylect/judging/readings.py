"""Verdicts and ratings in the words of a judge.

A verdict is read only where the protocol asks for it: after its label, in its brackets, or at the
beginning of an answer that was to be one letter. Words in between are never read for one, and of
two choices side by side neither is taken. What cannot be read is INVALID; it is counted, and no
guess is made.
"""

import html
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from polylect.rows import Verdict

Reading = tuple[Verdict, bool]
"""Verdict on the answers as they were shown, A first, and whether it was a strong one."""

LETTERS: Mapping[str, Verdict] = MappingProxyType(
    {"A": Verdict.A, "B": Verdict.B, "C": Verdict.TIE}
)
"""What a judge chooses among if its verdict is read off probabilities, with the meaning of each."""

_NOTHING: Reading = (Verdict.INVALID, False)
_NAME = r"(?:answer|assistant|option|response|model|output)"
# A tie is a word: "tiered", "tied up" and "tie-breaking" are none.
_TIE = r"(?:(?:it\s+is|it's)\s+)?(?:an?\s+)?tie(?![\w-])"
# A bare letter ends a line or stands before a mark: "A good answer" begins with an article.
_BARE = r"[ab](?=\s*(?:$|[^\w\s'])|'(?!\w))"
_THE = rf"(?:the\s+)?{_NAME}"
_SIDE = rf"(?:{_THE}\s+(?:(?-i:[AB])(?!\w)|{_BARE})|(?:{_THE}\s*)?\(\s*[ab]\s*\))"
_CHOICE = re.compile(rf"(?:{_SIDE}|{_BARE}|{_TIE})", re.IGNORECASE)
_OTHER = re.compile(rf"(?<!\w)(?:{_SIDE}|{_TIE})", re.IGNORECASE)
_BESIDE = re.compile(rf"\W*(?:(?:or|and|vs|to)\b\W*)?(?:{_BARE}|{_SIDE}|{_TIE})", re.IGNORECASE)
# The label begins a line or a sentence: "least preferred: …" is another label.
_PREFERRED = re.compile(
    rf"(?:^[\s>#\d.)\-–•]*|[^\w\s-]\s*)(?:(?:my|the)\s+)?preferred(?:\s+{_NAME})?(?:\s+is)?\s*:(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(r"\[\[\s*([AB])\s*(>{1,2}|<{1,2}|=)\s*([AB])\s*\]\]")
# "A: weak. B: strong." comments on both; "not [[A>B]]" says what the verdict is not.
_COMMENT = re.compile(r"\s*[:=]|\s+[-–—]\s")
_COMMENTED = re.compile(
    rf"(?:[^\w\s]|\n|\b(?:and|but|while)\b)\s*(?:{_THE}\s*)?\(?\s*([ABC])\s*\)?(?:{_COMMENT.pattern})",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\b(?:can)?not|n't|\bnever|\bneither|\bnor|\brather\s+than|\binstead\s+of)[ \"'“(]*$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"[\s,;/|&]*(?:OR|AND|VS\.?|TO)?[\s,;/|&]*")
_LABELS: Mapping[str, Reading] = {
    "A>>B": (Verdict.A, True), "A>B": (Verdict.A, False), "A=B": (Verdict.TIE, False),
    "A<B": (Verdict.B, False), "A<<B": (Verdict.B, True), "B>>A": (Verdict.B, True),
    "B>A": (Verdict.B, False), "B=A": (Verdict.TIE, False), "B<A": (Verdict.A, False),
    "B<<A": (Verdict.A, True),
}  # fmt: skip
_ANY_LABEL = r"(?:[^\W\d_]+(?:\s+[^\W\d_]+)?\s*:\s*)?"
_LETTER = re.compile(
    rf"\W*{_ANY_LABEL}(?:{_NAME}\s+)?(?:[^\W\d_]{{2,}}\s*)?\(\s*([ABC])\s*\)"
    rf"|\W*{_ANY_LABEL}{_NAME}\s+([ABC])(?!\w)"
    rf"|\W*{_ANY_LABEL}([ABC])(?=\s*(?:$|\n|[^\w\s'])|'(?!\w))",
    re.IGNORECASE,
)
_ANOTHER_LETTER = re.compile(
    rf"\W*(?:(?:or|and|vs|to)\b\W*)?(?:{_NAME}\s*)?\(?([ABC])(?=\)|\s*(?:$|[^\w\s'])|'(?!\w))",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\s*(?:\d+[.)]|[-–•])\s")
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?!\.?\d)"
_RATING = re.compile(rf"\[\[\s*({_NUMBER})\s*(?:/\s*(\d+)\s*)?\]\]")
_FIRST_NUMBER = re.compile(
    rf"[^\w+-]*{_ANY_LABEL}[^\w+-]*({_NUMBER})(?:\s*(?:/|out\s+of)\s*(\d+))?(?=\s*(?:$|\n|[^\w\s]))"
)
_NUMBER_BESIDE = re.compile(r"\s*(?:or|to|and|[-–/&])\s*\d", re.IGNORECASE)


def read_preferred(answer: str) -> Reading:
    r"""The choice after the last ``Preferred:``: Answer (A), Answer (B), one letter alone, or TIE.

    Without that label, a last line that is a choice and nothing else. Two choices are INVALID.

    >>> read_preferred("Comparison: (B) is preferred.\nPreferred: **A**")[0].value
    'A'
    """
    text = _plain(answer)
    labels = list(_PREFERRED.finditer(text))
    if labels:
        rest = text[labels[-1].start(1) :].lstrip()
        return _choice(rest.partition("\n")[0], alone=False), False
    lines = [line for line in text.splitlines() if line.strip()]
    return (_choice(lines[-1], alone=True) if lines else Verdict.INVALID), False


def _choice(line: str, *, alone: bool) -> Verdict:
    """The choice that a line begins with; INVALID without one, or if it names another as well.

    Args:
        line: without markup.
        alone: nothing but marks may follow.
    """
    line = line.lstrip("\"'`<> ")
    match = _CHOICE.match(line)
    if match is None:
        return Verdict.INVALID
    rest, verdict = line[match.end() :], _verdict_of(match.group())
    if verdict is not Verdict.TIE and _are_comments(rest, verdict.value):
        return Verdict.INVALID
    if alone and (re.search(r"\w", rest) or match.group().lower() in {"a", "b"}):
        return Verdict.INVALID
    others = [_verdict_of(other) for other in _OTHER.findall(rest)]
    if beside := _BESIDE.match(rest):
        others.append(_verdict_of(beside.group()))
    return verdict if all(other is verdict for other in others) else Verdict.INVALID


def _verdict_of(choice: str) -> Verdict:
    """The meaning of a choice that was matched."""
    letters = re.findall(r"(?<![^\W_])[AB](?![^\W_])", choice.upper())
    is_tie = re.search(r"\bTIE\b", choice.upper())
    return Verdict.TIE if is_tie else Verdict(letters[-1])


def read_label(answer: str) -> Reading:
    """The last label in double brackets, from [[A>>B]] to [[B>>A]]; spaces inside do not matter.

    Of several the last counts, as in arena-hard-auto; two different ones side by side ("[[A>B]] or
    [[B>A]]") are a list of the choices and INVALID, and so is "not [[A>B]]".
    """
    text = html.unescape(_plain(answer)).upper()
    matches = list(_LABEL.finditer(text))
    if not matches:
        return _NOTHING
    if _NEGATED.search(text[: matches[-1].start()]):
        return _NOTHING
    labels = ["".join(match.groups()) for match in matches]
    if len(matches) > 1 and labels[-1] != labels[-2] and _are_listed(text, *matches[-2:]):
        return _NOTHING
    return _LABELS.get(labels[-1], _NOTHING)


def read_letter(answer: str) -> Reading:
    """The letter A, B or C that an answer begins with, alone or after a label; a tie in words.

    "A good answer is B" begins with an article, and is INVALID; so are "A or B" and "A: weak. B:
    strong.", which comments on both.
    """
    text = _plain(answer).strip()
    match = _LETTER.match(text)
    if match is None:
        is_tie = re.fullmatch(rf"\W*{_ANY_LABEL}{_TIE}\W*", text, re.IGNORECASE)
        return (Verdict.TIE, False) if is_tie else _NOTHING
    letter = next(filter(None, match.groups())).upper()
    another = _ANOTHER_LETTER.match(text, match.end())
    if another and another[1].upper() != letter:
        return _NOTHING
    if _are_comments(text[match.end() :], letter):
        return _NOTHING
    return LETTERS[letter], False


def read_rating(answer: str, lowest: int, highest: int) -> tuple[float | None, bool]:
    """The last rating in double brackets, on a scale.

    Args:
        answer: of the judge.
        lowest: of the scale.
        highest: of the scale; "4/5" counts where it is the 5.

    Returns:
        The number, and whether it is off the scale (None then). None without one, or if two
        different ones stand side by side.
    """
    text = _plain(answer)
    matches = list(_RATING.finditer(text))
    if not matches or _NEGATED.search(text[: matches[-1].start()]):
        return None, False
    differ = len(matches) > 1 and matches[-1][1] != matches[-2][1]
    if differ and _are_listed(text.upper(), *matches[-2:]):
        return None, False
    return _on_scale(matches[-1], lowest, highest)


def read_number(answer: str, lowest: int, highest: int) -> tuple[float | None, bool]:
    """The number that an answer begins with, where the number alone was asked for.

    Args:
        answer: of the judge.
        lowest: of the scale.
        highest: of the scale.

    Returns:
        As ``read_rating``. "3 errors" and "4 or 5" are no rating.
    """
    text = _plain(answer).strip()
    match = _FIRST_NUMBER.match(text)
    if match is None or _NUMBER_BESIDE.match(text, match.end()):
        return None, False
    return _on_scale(match, lowest, highest)


def _are_comments(rest: str, letter: str) -> bool:
    """Whether what follows a letter is a comment on it, and another letter has one as well."""
    others = {other.upper() for other in _COMMENTED.findall(rest)} - {letter}
    return bool(_COMMENT.match(rest.lstrip(")"))) and bool(others)


def _are_listed(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether two matches stand side by side, or as items of a list: choices repeated, not made."""
    between = text[first.end() : second.start()]
    if _LISTED.fullmatch(between) and "\n" not in between:
        return True
    lines = [text[text.rfind("\n", 0, match.start()) + 1 :] for match in (first, second)]
    return between.count("\n") == 1 and all(map(_ITEM.match, lines))


def _on_scale(match: re.Match[str], lowest: int, highest: int) -> tuple[float | None, bool]:
    value, out_of = float(match[1]), match[2]
    if out_of is not None and int(out_of) != highest:
        return None, False
    return (value, False) if lowest <= value <= highest else (None, True)


def _plain(text: str) -> str:
    """The text without Markdown's emphasis and escapes, and with ASCII forms of wide characters."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'")
    return re.sub(r"[*\\`]|(?<!\w)_+|_+(?!\w)", "", text)
