"""Bars of several parts as SVG: what each row is made of. The page's CSS colors them."""

from collections.abc import Sequence
from dataclasses import dataclass

from polylect.report.charts import color, label_width, row_label
from polylect.report.page import Html, escape, tag

_LINE, _BAR, _GAP = 24.0, 16.0, 3.0


@dataclass(frozen=True)
class Part:
    """A part of a bar.

    Attributes:
        size: its length, 0 or more.
        series: index into the chart's series; decides the color.
        title: shown when a pointer is over it.
        begins: whether a gap stands before it.
    """

    size: float
    series: int
    title: str
    begins: bool = False


def stacked_bars(
    rows: Sequence[tuple[str, Sequence[Part], str]], name: str, *, width: int = 600
) -> Html:
    """Rows of bars on one scale, the longest as wide as the chart.

    Args:
        rows: label, parts from left to right, and what stands behind the bar.
        name: what the chart shows, for a screen reader.
        width: in SVG units.
    """
    left, right = label_width([label for label, _, _ in rows]), 66.0
    longest = max((sum(part.size for part in parts) for _, parts, _ in rows), default=0.0) or 1.0
    gaps = max((sum(part.begins for part in parts) for _, parts, _ in rows), default=0)
    unit = (width - left - right - _GAP * gaps) / longest
    drawn: list[Html] = []
    for number, (label, parts, words) in enumerate(rows):
        top, x = 4 + _LINE * number, left
        drawn.append(row_label(left - 10, top + _BAR - 3, label))
        for part in parts:
            x += _GAP * part.begins
            box = tag("rect", x=round(x, 2), y=top, width=round(part.size * unit, 2), height=_BAR,
                      style=f"fill:{color(part.series)}")  # fmt: skip
            drawn.append(tag("g", tag("title", part.title), box))
            x += part.size * unit
        drawn.append(tag("text", escape(words), x=round(x + 6, 2), y=top + _BAR - 3, class_="soft"))
    height = 8 + _LINE * len(rows)
    inner = tag("svg", *drawn, viewBox=f"0 0 {width} {height:g}", role="img", aria_label=name)
    return tag("div", inner, class_="scroll")
