"""Verdicts and ratings in the words of a judge.

A verdict is read only where the protocol asks for it: behind its label, in its brackets, or at the
beginning of an answer that was to be one letter; and only if no other word of its line can turn it
around, in whatever language. Words in between are never read for one, and of two choices neither
is taken unless the last supersedes the other. What cannot be read is INVALID; it is counted, and no
guess is made.
"""

import html
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from polylect.judging._standing import END, UNFINISHED, standing
from polylect.judging._verdict_words import (
    ANSWER,
    BEFORE_LABEL,
    BEFORE_LETTER,
    BEFORE_NUMBER,
    BEFORE_RATING,
)
from polylect.rows import Verdict

Reading = tuple[Verdict, bool]
"""Verdict on the answers as they were shown, A first, and whether it was a strong one."""

LETTERS: Mapping[str, Verdict] = MappingProxyType(
    {"A": Verdict.A, "B": Verdict.B, "C": Verdict.TIE}
)
"""What a judge chooses among if its verdict is read off probabilities, with the meaning of each."""

_NOTHING: Reading = (Verdict.INVALID, False)
# A tie is a word: "tiered", "tied up" and "tie-breaking" are none.
_TIE = r"(?:(?:it\s+is|it's)\s+)?(?:an?\s+)?tie(?![\w-])"
_THE = rf"(?:the\s+)?{ANSWER}"
_NAMED_SIDE = rf"(?:{_THE}\s+(?-i:[ABC])(?!\w)|(?:{_THE}\s*)?\(\s*[abc]\s*\))"
_CHOICE = re.compile(
    rf"(?:{_TIE}|{_THE}\s+[ab](?!\w)|(?:{_THE}\s*)?\(\s*[ab]\s*\)|[ab](?!\w))", re.IGNORECASE
)
# Any mention counts against a choice: that of a bare letter only if it is a capital.
_MENTION = re.compile(rf"(?<!\w)(?:{_NAMED_SIDE}|(?-i:[ABC])(?!\w)|tie(?![\w-]))", re.IGNORECASE)
_REASON = re.compile(r"[\s\"'”)\].,;–—-]*(?:because|since|due\s+to)\b", re.IGNORECASE)
_GRADED = re.compile(rf"[+-]?{END}[+-]?")
# The label begins a line or a sentence: "least preferred: …" is another label.
_PREFERRED = re.compile(
    rf"(?:^[\s>#\d.)\-–•]*|[^\w\s-]\s*)(?:(?:my|the)\s+)?preferred(?:\s+{ANSWER})?(?:\s+is)?\s*:(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(r"\[\[\s*([AB])\s*(>{1,2}|<{1,2}|=)\s*([AB])\s*\]\]")
_LABELS: Mapping[str, Reading] = {
    "A>>B": (Verdict.A, True), "A>B": (Verdict.A, False), "A=B": (Verdict.TIE, False),
    "A<B": (Verdict.B, False), "A<<B": (Verdict.B, True), "B>>A": (Verdict.B, True),
    "B>A": (Verdict.B, False), "B=A": (Verdict.TIE, False), "B<A": (Verdict.A, False),
    "B<<A": (Verdict.A, True),
}  # fmt: skip
_BEFORE_LABEL = re.compile(BEFORE_LABEL, re.IGNORECASE)
_BEFORE_LETTER = re.compile(rf"[\s\"'“«(\[{{#>-]*{BEFORE_LETTER}[\s\"'“«\[<]*", re.IGNORECASE)
_LETTER = re.compile(
    rf"(?:(?:{_THE}\s*)?\(\s*[abc]\s*\)|{_THE}\s+[abc](?!\w)|\(?[abc](?!\w))", re.IGNORECASE
)
_ONLY_A_TIE = re.compile(rf"{_TIE}{END}", re.IGNORECASE)
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?![.,]?\d)"
_OF_SCALE = r"(?:\s*(?:/|out\s+of)\s*(\d+)(?!\d))?"
_RATING = re.compile(rf"\[\[\s*({_NUMBER})\s*(?:/\s*(\d+)\s*)?\]\]{_OF_SCALE}")
_BRACKETED = re.compile(r"\[\[\s*[-+]?[\d.,/]+\s*\]\]")
_BEFORE_RATING = re.compile(BEFORE_RATING, re.IGNORECASE)
_FIRST_NUMBER = re.compile(
    rf"[\s\"'“«(\[#>]*+(?:{BEFORE_NUMBER}[\s\"'“«(\[]*+)?({_NUMBER}){_OF_SCALE}",
    re.IGNORECASE,
)


def read_preferred(answer: str) -> Reading:
    r"""The choice after the last ``Preferred:``: Answer (A), Answer (B), one letter alone, or TIE.

    Only marks, or an English reason ("because …"), may follow on its line, and the other choice may
    not be named in it or taken by a later line. Without that label, a last line that is a choice
    and nothing else.

    >>> read_preferred("Comparison: (B) is preferred.\nPreferred: **A**")[0].value
    'A'
    """
    text = _plain(answer)
    labels = list(_PREFERRED.finditer(text))
    if labels:
        rest = text[labels[-1].start(1) :].lstrip()
        line, _, later = rest.partition("\n")
        verdict = _choice(line)
        return (Verdict.INVALID if _is_taken_back(later, verdict) else verdict), False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (_last_line(lines) if lines else Verdict.INVALID), False


def _choice(line: str) -> Verdict:
    """The choice that a line consists of, with or without a reason; else INVALID."""
    line = line.lstrip("\"'`<“«[ ")
    match = _CHOICE.match(line)
    if match is None:
        return Verdict.INVALID
    rest, verdict = line[match.end() :], _verdict_of(match.group())
    while repeated := re.match(r"[\s,;.]*", rest):
        again = _CHOICE.match(rest, repeated.end())
        if not repeated.end() or again is None or _verdict_of(again.group()) is not verdict:
            break
        rest = rest[again.end() :]
    is_read = _GRADED.fullmatch(rest) or _ends_with_reason(rest, verdict)
    return verdict if is_read else Verdict.INVALID


def _is_taken_back(later: str, verdict: Verdict) -> bool:
    """Whether a later line ends with another choice, without a label of its own."""
    for line in later.splitlines():
        mentions = list(_MENTION.finditer(line))
        if mentions and re.fullmatch(END, line[mentions[-1].end() :]):
            is_labeled = re.search(r"[:：]", line[: mentions[-1].start()])
            if not is_labeled and _verdict_of(mentions[-1].group()) is not verdict:
                return True
    return False


def _last_line(lines: list[str]) -> Verdict:
    """The choice of a last line that is one and nothing else, and answers nothing else.

    A line before it that ends with a colon, a comma or a question goes on with it ("Rejected:");
    another choice alone on a line makes a list.
    """
    choices = [_choice_alone(line) for line in lines]
    verdict = choices[-1]
    if len(lines) > 1 and lines[-2].endswith(UNFINISHED):
        return Verdict.INVALID
    others = {choice for choice in choices[:-1] if choice is not Verdict.INVALID}
    return verdict if others <= {verdict} else Verdict.INVALID


def _choice_alone(line: str) -> Verdict:
    match = _CHOICE.match(line.lstrip("\"'`<“«[ "))
    if match is None or match.group().lower() in {"a", "b"}:
        return Verdict.INVALID
    rest = line.lstrip("\"'`<“«[ ")[match.end() :]
    return _verdict_of(match.group()) if re.fullmatch(END, rest) else Verdict.INVALID


def _verdict_of(choice: str) -> Verdict:
    """The meaning of a choice that was matched."""
    if re.search(r"\bTIE\b", choice.upper()):
        return Verdict.TIE
    return LETTERS[re.findall(r"(?<![^\W_])[ABC](?![^\W_])", choice.upper())[-1]]


def read_label(answer: str) -> Reading:
    """The label in double brackets, from [[A>>B]] to [[B>>A]]; spaces inside do not matter.

    It stands on a line of its own, ends a line, or follows the words that the protocol asks for; of
    two different ones the last counts only on a line of its own (see ``_standing``).
    """
    text = html.unescape(_plain(answer)).upper()
    matches = list(_LABEL.finditer(text))
    match = standing(text, matches, lambda label: "".join(label.groups()), _BEFORE_LABEL)
    return _LABELS.get("".join(match.groups()), _NOTHING) if match else _NOTHING


def read_letter(answer: str) -> Reading:
    """The letter A, B or C that an answer begins with, alone or after a label; a tie in words.

    Only marks, or a reason, may follow on its line: "A good answer is B" begins with an article,
    and "A: weak." may have been cut off before "B: strong.".
    """
    line, _, later = _plain(answer).strip().partition("\n")
    rest, later = _after(line, _BEFORE_LETTER), _after(later.lstrip(), _BEFORE_LETTER)
    if _ONLY_A_TIE.fullmatch(rest):
        return Verdict.TIE, False
    match, again = _LETTER.match(rest), _LETTER.match(later)
    if match is None:
        return _NOTHING
    verdict = _verdict_of(match.group())
    if not _ends_with_reason(rest[match.end() :], verdict):
        return _NOTHING
    is_other = again is not None and _verdict_of(again.group()) is not verdict
    return _NOTHING if is_other or _is_taken_back(later, verdict) else (verdict, False)


def _after(line: str, before: re.Pattern[str]) -> str:
    match = before.match(line)
    return line[match.end() :] if match else line


def _ends_with_reason(rest: str, verdict: Verdict) -> bool:
    """Whether only marks, or a reason that names no other choice, follow a choice."""
    if re.fullmatch(END, rest):
        return True
    mentioned = {_verdict_of(mention.group()) for mention in _MENTION.finditer(rest)}
    return bool(_REASON.match(rest)) and mentioned <= {verdict}


def read_rating(answer: str, lowest: int, highest: int) -> tuple[float | None, bool]:
    """The rating in double brackets, on a scale; it stands as a label does (``read_label``).

    Args:
        answer: of the judge.
        lowest: of the scale.
        highest: of the scale; "4/5" counts where it is the 5.

    Returns:
        The number, and whether it is off the scale (None then). None without one, or if it is of
        another scale, not alone on its line, or beside a different one.
    """
    text = _plain(answer)
    matches = list(_RATING.finditer(text))
    if len(matches) != len(_BRACKETED.findall(text)):
        return None, False
    match = standing(text, matches, lambda rating: float(rating[1]), _BEFORE_RATING)
    return _on_scale(match, lowest, highest) if match else (None, False)


def read_number(answer: str, lowest: int, highest: int) -> tuple[float | None, bool]:
    """The number that an answer begins with, where the number alone was asked for.

    Args:
        answer: of the judge.
        lowest: of the scale.
        highest: of the scale.

    Returns:
        As ``read_rating``. "3 errors", "4 %", "4 (out of 10)" and "4 or 5" are no rating.
    """
    line, _, later = _plain(answer).strip().partition("\n")
    match = _FIRST_NUMBER.match(line)
    if match is None or re.match(r"\W*\d", later):
        return None, False
    rest = line[match.end() :]
    if not re.fullmatch(END, rest) and not _REASON.match(rest):
        return None, False
    return _on_scale(match, lowest, highest)


def _on_scale(match: re.Match[str], lowest: int, highest: int) -> tuple[float | None, bool]:
    value, scales = float(match[1]), [scale for scale in match.groups()[1:] if scale]
    if any(int(scale) != highest for scale in scales):
        return None, False
    return (value, False) if lowest <= value <= highest else (None, True)


def _plain(text: str) -> str:
    """The text without Markdown's emphasis and escapes, and with ASCII forms of wide characters.

    "²", "½" and "①" are no digits: each becomes a mark that no verdict is read beside.
    """
    text = "".join("?" if unicodedata.category(char) == "No" else char for char in text)
    text = unicodedata.normalize("NFKC", text).replace("’", "'")
    return re.sub(r"[*\\`]|(?<!\w)_+|_+(?!\w)", "", text)
