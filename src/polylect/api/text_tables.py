"""Tables as lines of text, aligned in every script."""

from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]], sides: str) -> list[str]:
    """A head and a line per row, columns two spaces apart.

    >>> text_table(("language", "items"), [("de", 12)], "lr")
    ['language  items', 'de           12']

    Args:
        head: names of the columns.
        rows: cells, written as text.
        sides: a letter per column, ``l`` or ``r``: where its text stands.
    """
    from rich.cells import cell_len

    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        parts = []
        for text, width, side in zip(row, widths, sides, strict=True):
            space = " " * (width - cell_len(text))
            parts.append(space + text if side == "r" else text + space)
        return "  ".join(parts).rstrip()

    return [line(row) for row in cells]
