"""Cutting long text into documents at natural boundaries."""

from collections.abc import Iterable, Iterator

TEXT_CHARACTERS = 2000
CODE_CHARACTERS = 3000


def paragraph_pieces(text: str, most: int = TEXT_CHARACTERS) -> Iterator[str]:
    """Prose cut into pieces: blank-line paragraphs, joined up to ``most`` characters.

    A longer paragraph is cut at line ends; a longer line stays whole.
    """
    yield from joined(_paragraphs(text, most), "\n\n", most)


def code_pieces(text: str, most: int = CODE_CHARACTERS) -> Iterator[str]:
    """Program code cut where a top-level statement follows a blank line.

    Pieces have at most ``most`` characters; a longer statement is cut at line ends.
    """
    for piece in joined(_statements(text, most), "", most):
        yield piece.strip("\n")


def joined(parts: Iterable[str], separator: str, most: int) -> Iterator[str]:
    """Adjacent parts joined while they fit in ``most`` characters; empty parts are left out."""
    piece: list[str] = []
    length = 0
    for part in parts:
        if piece and length + len(part) > most:
            yield separator.join(piece)
            piece, length = [], 0
        if part.strip():
            piece.append(part)
            length += len(part) + len(separator)
    if piece:
        yield separator.join(piece)


def _paragraphs(text: str, most: int) -> Iterator[str]:
    lines: list[str] = []
    length = 0
    for line in [*text.splitlines(), ""]:
        if lines and (not line.strip() or length + len(line) > most):
            yield "\n".join(lines)
            lines, length = [], 0
        if line.strip():
            lines.append(line.rstrip())
            length += len(line) + 1


def _statements(text: str, most: int) -> Iterator[str]:
    """Blocks of lines; each starts at an unindented line after a blank one."""
    lines: list[str] = []
    length = 0
    blank = False
    for line in text.splitlines(keepends=True):
        starts = blank and line[:1].strip() and line[0] not in ")]}"
        if lines and (starts or length + len(line) > most):
            yield "".join(lines)
            lines, length = [], 0
        blank = not line.strip()
        lines.append(line)
        length += len(line)
    if lines:
        yield "".join(lines)
