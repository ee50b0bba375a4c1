r"""What a translation must keep as it is: code, placeholders, tags, formulas, addresses.

Found by form alone, in any language. Indented code without a fence is not found, nor a formula
between single dollars without any of ``\ ^ _ =``. Numbers are not kept but compared: ``gates.py``.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\r\n]*)")
# Characters of scripts without spaces end an address: the text goes on right behind it.
_BEHIND = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
)
_PATTERNS = {
    "code": r"(?<!`)(?P<ticks>`+)(?!`)[^\r\n]+?(?<!`)(?P=ticks)(?!`)",
    "placeholder": r"\{\{[^\r\n]*?\}\}|\{%[^\r\n]*?%\}|\{#[^\r\n]*?#\}|\$\{[^{}\r\n]*\}"
    r"|\{[^{}\s]*\}|%\([^()\r\n]+\)[-#0+ ]*\d*(?:\.\d+)?[a-zA-Z]"
    r"|(?<![\d%])%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:l{0,2}[diuxX]|[sfFgGeEcp@])(?![A-Za-z])",
    "address": rf"(?:(?:https?|ftp)://|www\.)[^\s<>\"`{_BEHIND}]*[^\s<>\"`.,;:!?)\]}}'*_…»”’{_BEHIND}]"
    r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "tag": r"<!--[^\r\n]*?-->|</?[A-Za-z][^<>\r\n]*>|&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z]\w*);",
    "formula": r"\$\$[^\r\n]+?\$\$|\\\([^\r\n]+?\\\)|\\\[[^\r\n]+?\\\]"
    r"|\$(?=\S)(?=[^$\r\n]*[\\^_=])[^$\r\n]+(?<=\S)\$",
    "mark": r"\[\[\d+\]\]",
}
_INLINE = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _PATTERNS.items()))
_MARK = re.compile(r"[\[［【]{2}\s*(\d+)\s*[\]］】]{2}")
_ADDED = frozenset({"block", "code", "placeholder", "tag"})
"""Kinds of which a translation may have no more than its source."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text that must be kept.

    Attributes:
        start: its first character.
        end: one behind its last.
        kind: ``block``, ``code``, ``placeholder``, ``address``, ``tag``, ``formula``, ``mark``.
    """

    start: int
    end: int
    kind: str


def find_kept(text: str) -> list[Span]:
    """The parts of a text that must be kept, in order; none overlap.

    >>> [span.kind for span in find_kept("See `x` at https://a.example/b, {name}!")]
    ['code', 'address', 'placeholder']
    """
    blocks = code_blocks(text)
    spans: list[Span] = []
    start = 0
    for block in [*blocks, Span(len(text), len(text), "")]:
        for match in _INLINE.finditer(text, start, block.start):
            kind = next(name for name in _PATTERNS if match[name] is not None)
            spans.append(Span(match.start(), match.end(), kind))
        if block.kind:
            spans.append(block)
        start = block.end
    return spans


def code_blocks(text: str) -> list[Span]:
    """Fenced code with its fences, by CommonMark's rule: an unclosed one goes to the end.

    A fence closes with one of the same character that is at least as long, so that a block may
    hold shorter fences. White space before it, and behind it, does not belong to it.
    """
    blocks = []
    opened: tuple[int, str] | None = None
    for match in re.finditer(r"[^\r\n]+", text):
        fence = _FENCE.fullmatch(match[0])
        if fence is None:
            continue
        ticks, info = fence[1], fence[2]
        if opened is None:
            if ticks[0] == "~" or "`" not in info:
                opened = match.start() + fence.start(1), ticks
        elif ticks[0] == opened[1][0] and len(ticks) >= len(opened[1]) and not info.strip():
            end = match.start() + len(match[0].rstrip())
            blocks.append(Span(opened[0], end, "block"))
            opened = None
    if opened is not None:
        blocks.append(Span(opened[0], len(text.rstrip()), "block"))
    return blocks


def without_kept(text: str) -> str:
    """A text without what must be kept, a space in place of each."""
    parts, start = [], 0
    for span in find_kept(text):
        parts.append(text[start : span.start])
        start = span.end
    return " ".join([*parts, text[start:]])


def with_marks(text: str) -> tuple[str, tuple[str, ...]]:
    """A text with marks in place of what must be kept, and what each mark stands for.

    Neighbors share a mark.

    >>> with_marks("Press <b>{key}</b>, then go to https://a.example.")
    ('Press [[1]], then go to [[2]].', ('<b>{key}</b>', 'https://a.example'))
    """
    parts: list[str] = []
    kept: list[str] = []
    end = -1
    for span in find_kept(text):
        if span.start == end:
            kept[-1] += text[span.start : span.end]
        else:
            parts += [text[max(end, 0) : span.start], f"[[{len(kept) + 1}]]"]
            kept.append(text[span.start : span.end])
        end = span.end
    return "".join([*parts, text[max(end, 0) :]]), tuple(kept)


def without_marks(text: str, kept: Sequence[str]) -> str | None:
    """A text with what its marks stand for; None where a mark is lost, doubled or made up.

    Spaces in a mark, full-width brackets and other digits are read too.
    """
    numbers = [int(match[1]) for match in _MARK.finditer(text)]
    if sorted(numbers) != list(range(1, len(kept) + 1)):
        return None
    return _MARK.sub(lambda match: kept[int(match[1]) - 1], text)


def not_kept(source: str, translation: str) -> list[str]:
    """What a translation lost, has too often, or added: each part once, in order.

    Example:
        >>> not_kept("Dear {name}, {name}!", "Hallo {name}, {user}!")
        ['{name}', '{user}']
    """
    wrong = []
    parts = dict.fromkeys(source[span.start : span.end] for span in find_kept(source))
    for part in parts:
        if translation.count(part) != source.count(part):
            wrong.append(part)
    added = Counter(
        translation[span.start : span.end] for span in find_kept(translation) if span.kind in _ADDED
    )
    return wrong + [part for part in added if part not in source]
