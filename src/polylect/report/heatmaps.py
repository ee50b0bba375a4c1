"""Heat maps as SVG: shares and cosines. The page's CSS colors them, light and dark."""

from collections.abc import Sequence

from polylect.base import Language
from polylect.report.charts import label_width, row_label
from polylect.report.page import Html, escape, tag

_CELL, _LINE, _GAP = 58.0, 28.0, 2.0
_SMALL_CELL = 22.0
_MAX_HEAD = 9
_SLANTED = 46.0
_LONGEST_HEAD, _RISE, _OVERHANG = 18, 4.2, 6.0  # letters; pixels a letter of a slanted head
_STRETCH = 1.3
_MOST_FIGURES, _NARROW = 12, 640.0  # more columns have no figures, and share this width
_DARK = 0.55  # from here on the cell's figure has the paper's color


def heat_map(
    rows: Sequence[tuple[str | Language, Sequence[float | None]]],
    columns: Sequence[str],
    name: str,
    *,
    marked: Sequence[int | None] = (),
    digits: int = 0,
    factor: float = 100.0,
) -> Html:
    """Rows of cells, as dark as their value; a frame around a marked one.

    Args:
        rows: label and values of each, from 0 to 1 in absolute value; None is an empty cell.
        columns: their names; of more than twelve, cells are narrow and say their figure to a
            pointer.
        name: what the map shows, for a screen reader.
        marked: the column of each row that has a frame; None for no frame.
        digits: of the figures.
        factor: that values are printed times.
    """
    left = label_width([label for label, _ in rows], 60.0)
    has_figures = len(columns) <= _MOST_FIGURES
    cell = _CELL if has_figures else _NARROW / len(columns)
    slanted = has_figures and any(len(column) > _MAX_HEAD for column in columns)
    longest = max((min(len(column), _LONGEST_HEAD) for column in columns), default=0)
    rise, overhang = (max(_SLANTED, part * longest) for part in (_RISE, _OVERHANG))
    top = rise + 12 if slanted else 22.0
    width = left + cell * len(columns) + (overhang - cell / 2 if slanted else 4)
    height = top + _LINE * len(rows) + 4
    parts = [_head(left + cell * (i + 0.5), top - 8, column, slanted=slanted)
             for i, column in enumerate(columns) if has_figures]  # fmt: skip
    for i, (label, values) in enumerate(rows):
        y = top + _LINE * i
        parts.append(row_label(left - 10, y + _LINE / 2 + 4, label))
        for j, value in enumerate(values):
            if value is not None:
                words = f"{factor * value:.{digits}f}".replace("-", "\u2212")
                title = f"{_text(label)}, {columns[j]}: {words}"
                parts.append(_cell(left + cell * j, y, cell, value, title,
                                   words if has_figures else ""))  # fmt: skip
        if i < len(marked) and (column := marked[i]) is not None:
            parts.append(_frame(left + cell * column, y, cell, _LINE))
    return _svg(width, height, parts, name)


def small_map(
    values: Sequence[Sequence[float]], columns: Sequence[str], name: str, marked: int | None = None
) -> Html:
    """A map without figures, a row per block, to stand beside others.

    Args:
        values: from 0 to 1 [blocks, columns].
        columns: their names, for a pointer.
        name: what it shows.
        marked: column with a frame.
    """
    line = min(16.0, max(5.0, 96.0 / len(values)))
    width, height = _SMALL_CELL * len(columns) + 2, line * len(values) + 2
    parts = [
        tag("g", tag("title", f"block {i}, {columns[j]}: {100 * value:.0f} %"),
            _box(1 + _SMALL_CELL * j, 1 + line * i, _SMALL_CELL, line, value, 1.0))
        for i, row in enumerate(values) for j, value in enumerate(row)
    ]  # fmt: skip
    if marked is not None:
        parts.append(_frame(1 + _SMALL_CELL * marked, 1, _SMALL_CELL, height - 2))
    return tag("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=name,
               style=f"width:{width:g}px;max-width:100%")  # fmt: skip


def _text(label: str | Language) -> str:
    return label.name if isinstance(label, Language) else label


def _head(x: float, y: float, column: str, *, slanted: bool) -> Html:
    words = column if len(column) <= _LONGEST_HEAD else f"{column[: _LONGEST_HEAD - 1]}…"
    turned = f"rotate(-35 {x - 8:g} {y:g})" if slanted else None
    anchor, at = ("start", x - 8) if slanted else ("middle", x)
    return tag("text", escape(words), tag("title", column), x=f"{at:g}", y=f"{y:g}",
               text_anchor=anchor, class_="soft", transform=turned,
               style="unicode-bidi:plaintext")  # fmt: skip


def _cell(x: float, y: float, width: float, value: float, title: str, words: str) -> Html:
    paint = "fill:var(--paper)" if abs(value) >= _DARK else None
    inside = tag("text", words, x=f"{x + width / 2:g}", y=f"{y + _LINE / 2 + 4:g}",
                 text_anchor="middle", style=paint)  # fmt: skip
    box = _box(x, y, width, _LINE, value, _GAP)
    return tag("g", tag("title", title), box, inside if words else Html(""))


def _box(x: float, y: float, width: float, height: float, value: float, gap: float) -> Html:
    """Below 0 in another color."""
    tone = "var(--c0)" if value >= 0 else "var(--c1)"
    strength = min(1.0, 0.05 + 0.95 * abs(value))
    return tag("rect", x=f"{x:g}", y=f"{y:g}", width=f"{max(width - gap, 1):g}",
               height=f"{height - gap:g}",
               style=f"fill:{tone};fill-opacity:{strength:.3f}")  # fmt: skip


def _frame(x: float, y: float, width: float, height: float) -> Html:
    return tag("rect", x=f"{x:g}", y=f"{y:g}", width=f"{max(width - _GAP, 1):g}",
               height=f"{height - _GAP:g}",
               style="fill:none;stroke:var(--ink);stroke-width:1.6")  # fmt: skip


def _svg(width: float, height: float, parts: Sequence[Html], name: str) -> Html:
    inner = tag("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=name,
                style=f"max-width:{_STRETCH * width:.0f}px")  # fmt: skip
    return tag("div", inner, class_="scroll")
