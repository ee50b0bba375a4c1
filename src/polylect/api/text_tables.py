"""Tables of text: as wide as the terminal, or whole where the output is piped."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence

_GAP = "  "
_LEAST = 8


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    sides: str,
    *,
    shrink: Sequence[int] = (),
    width: int | None = None,
) -> list[str]:
    """A head and a line per row; columns without any text are left out.

    >>> text_table(("language", "items"), [("de", 12)], "lr")
    ['language  items', 'de           12']

    Args:
        head: names of the columns.
        rows: cells, written as text.
        sides: a letter per column, ``l`` or ``r``: where its text stands.
        shrink: columns that are cut, in this order, until the lines fit.
        width: of the terminal; default: of standard output, where that is one. Otherwise nothing
            is cut.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    body = [[str(cell) for cell in row] for row in rows]
    shown = [i for i in range(len(head)) if not body or any(row[i] for row in body)]
    all_rows = [list(head), *body]
    widths = {i: max(cells(row[i]) for row in all_rows) for i in shown}
    if width is not None:
        excess = sum(widths.values()) + len(_GAP) * (len(shown) - 1) - width
        for column in shrink:
            if column in widths and excess > 0:
                kept = max(min(_LEAST, widths[column]), widths[column] - excess)
                excess -= widths[column] - kept
                widths[column] = kept
    lines = []
    for row in all_rows:
        parts = [_cell(row[i], widths[i], is_right=sides[i] == "r") for i in shown]
        lines.append(_GAP.join(parts).rstrip())
    return lines


def cells(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two, combining ones none.

    >>> cells("日本")
    4
    """
    return sum(
        0 if unicodedata.combining(letter) or unicodedata.category(letter) in {"Mn", "Me", "Cf"}
        else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )  # fmt: skip


def _cell(text: str, width: int, *, is_right: bool) -> str:
    if cells(text) > width:
        kept = ""
        for letter in text:
            if cells(kept + letter) > width - 1:
                break
            kept += letter
        text = kept + "…"
    blank = " " * (width - cells(text))
    return blank + text if is_right else text + blank
