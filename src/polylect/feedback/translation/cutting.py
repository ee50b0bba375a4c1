"""A text as pieces that are translated and pieces that stay, which joined are the text again."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from polylect.feedback.translation.keeping import code_blocks, find_kept, with_marks
from polylect.feedback.translation.protocol import Traits
from polylect.text import split_sentences

_LINE_END = re.compile(r"(\r\n|\r|\n)")
_BLANK_LINES = re.compile(r"((?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)\s*)")
_MARKUP = re.compile(r"\s*(?:(?:[-*+•]|#{1,6}|>+|\d{1,3}[.)]|\|)\s+)*")
"""What a line may begin with that is no text: lists, headings, quotes, tables."""
_MARKS = re.compile(r"\[\[\d+\]\]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text.

    Attributes:
        text: as it stands in the text.
        unit: what is translated, with marks; empty where the piece stays as it is.
        kept: what the marks stand for.
    """

    text: str
    unit: str = ""
    kept: tuple[str, ...] = ()


def cut(text: str, traits: Traits) -> list[Piece]:
    """The pieces of a text, in order; joined, they are the text.

    A text that is not too long is one piece. A longer one is cut at blank lines, then at the ends
    of lines, then of sentences; a sentence is never cut. Where the translator wants lines, fenced
    code and what a line's markup begins with are no part of what it gets.
    """
    whole = not traits.by_line and len(text) <= traits.longest
    pieces = list(_unit(text, traits)) if whole else list(_between_blocks(text, traits))
    assert "".join(piece.text for piece in pieces) == text
    return pieces


def _between_blocks(text: str, traits: Traits) -> Iterator[Piece]:
    start = 0
    for block in code_blocks(text):
        yield from _parts(text[start : block.start], traits)
        yield Piece(text[block.start : block.end])
        start = block.end
    yield from _parts(text[start:], traits)


def _parts(text: str, traits: Traits) -> Iterator[Piece]:
    """Pieces of a text without fenced code."""
    for paragraph in [text] if traits.by_line else _BLANK_LINES.split(text):
        if not traits.by_line and len(paragraph) <= traits.longest:
            yield from _unit(paragraph, traits)
            continue
        for line in _LINE_END.split(paragraph):
            begin = match.end() if (match := _MARKUP.match(line)) else 0
            yield from _stays(line[:begin])
            for part in _sentences(line[begin:], traits.longest):
                yield from _unit(part, traits)


def _sentences(line: str, longest: int) -> Iterator[str]:
    """A line, or as many of its sentences at a time as are not too long."""
    if len(line) <= longest:
        yield line
        return
    kept, end, part = find_kept(line), 0, ""
    for sentence in split_sentences(line):
        is_inside = any(span.start < end < span.end for span in kept)
        if part and not is_inside and len(part) + len(sentence) > longest:
            yield part
            part = ""
        part += sentence
        end += len(sentence)
    yield part


def _unit(text: str, traits: Traits) -> Iterator[Piece]:
    """What is translated, with the white space around it on its own."""
    bare = text.strip()
    if not bare:
        yield from _stays(text)
        return
    start = text.index(bare)
    yield from _stays(text[:start])
    unit, kept = with_marks(bare) if traits.marks else (bare, ())
    # Without a letter there is nothing to translate.
    has_words = any(letter.isalpha() for letter in _MARKS.sub("", unit))
    yield Piece(bare, unit, kept) if has_words else Piece(bare)
    yield from _stays(text[start + len(bare) :])


def _stays(text: str) -> Iterator[Piece]:
    if text:
        yield Piece(text)
