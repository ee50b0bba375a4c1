"""Charts as SVG: dots with intervals, curves, points. The page's CSS colors them."""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylect.base import Language
from polylect.report.page import Html, escape, tag

_COLORS = 8
_MAX_LABEL = 34
_LONG = 24
"""Rows above which a chart is read like a table: on a phone it scrolls and keeps its letters."""
_SHORTEST_SIDE = 15  # of an axis through 0, as a part of it, that is labelled
_LETTER = 6.6  # SVG units of a letter of a label


@dataclass(frozen=True)
class Dot:
    """A value with its interval.

    Attributes:
        value: the dot.
        lower: left end of the line; where it is infinite, the line leaves the chart.
        upper: right end of the line; likewise.
        series: index into the chart's series; decides the color.
        title: shown when a pointer is over it.
        paint: a CSS color instead of that of the series.
        hollow: drawn as a ring, to mark it.
    """

    value: float
    lower: float
    upper: float
    series: int
    title: str
    paint: str = ""
    hollow: bool = False


def color(series: int) -> str:
    """The color of a series, as a CSS value."""
    return f"var(--c{series % _COLORS})"


def legend(names: Sequence[str]) -> Html:
    """Colors and names of the series."""
    items = [
        tag("li", tag("i", style=f"background:{color(i)}"), name) for i, name in enumerate(names)
    ]
    return tag("ul", *items, class_="legend")


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """Round values within a range, about ``num`` of them, with one on either side of a 0 inside it.

    A side shorter than a fifteenth of the range has none: its label would touch that of 0.

    >>> ticks(0.0, 1.0), ticks(-4.3, 6.5), ticks(-1.0, 10.0)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0], [-1.0, 0.0, 5.0, 10.0])
    """
    span = max(high - low, 1e-12)
    raw = span / num
    unit = 10.0 ** math.floor(math.log10(raw))
    steps = [unit * m for m in (10, 5, 2, 1) if unit * m >= raw or unit * m >= span / (2 * num)]
    step = min(step for step in steps if step >= raw)
    sides = (
        [side for side in (-low, high) if side > span / _SHORTEST_SIDE] if low < 0 < high else []
    )
    if sides and min(sides) < step:
        step = next((smaller for smaller in steps if smaller <= min(sides)), step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(i * step, 12) for i in range(first, last + 1)]
    if sides and min(sides) < step:  # too short a side for a step of its own
        unit = 10.0 ** math.floor(math.log10(min(sides)))
        end = round(math.floor(min(sides) / unit + 1e-9) * unit, 12)
        values = sorted([*values, -end if -low == min(sides) else end])
    return values


def dot_plot(
    rows: Sequence[tuple[str | Language, Sequence[Dot]]],
    axis: str,
    *,
    zero: bool = False,
    width: int = 520,
    ends: tuple[str, str] | None = None,
    line: int = 22,
    gap: int = 6,
) -> Html:
    """Rows of dots with intervals over one axis.

    Args:
        rows: label and dots of each row, from top to bottom; a language is shown with its endonym.
        axis: what the axis shows, with its unit.
        zero: draw a line at 0, and keep it in view.
        width: in SVG units; the page scales it.
        ends: what the left and the right end of the axis mean.
        line: height of a row, in SVG units.
        gap: between the dots of two rows that have many.
    """
    left, right, top = label_width([label for label, _ in rows]), 16, 8
    dots = [dot for _, row_dots in rows for dot in row_dots]
    finite = [end for dot in dots for end in (dot.lower, dot.value, dot.upper)
              if math.isfinite(end)]  # fmt: skip
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.04 * (high - low or 1.0)
    low, high = low - pad, high + pad
    height = top + line * len(rows) + (58 if ends else 40)

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return round(left + (inside - low) / (high - low) * (width - left - right), 2)

    parts: list[Html] = []
    bottom = top + line * len(rows)
    for value in ticks(low, high):
        parts.append(_line(x(value), top, x(value), bottom, "grid"))
        parts.append(_text(x(value), bottom + 16, _tick(value), "middle", "soft"))
    if zero:
        parts.append(_line(x(0), top, x(0), bottom, "zero"))
    parts.append(_text((left + width - right) / 2, bottom + 34, axis, "middle", "soft"))
    if ends:
        parts.append(_text(left, bottom + 52, ends[0], "start", "soft"))
        parts.append(_text(width - right, bottom + 52, ends[1], "end", "soft"))
    for number, (label, row_dots) in enumerate(rows):
        middle, num = top + line * (number + 0.5), len(row_dots)
        parts.append(row_label(left - 10, middle + 4, label))
        for at, dot in enumerate(row_dots):
            y = middle + (at - (num - 1) / 2) * min(6.0, (line - gap) / max(1, num))
            parts.append(_dot(dot, x, y))
    return _svg(width, height, parts, axis, is_long=len(rows) > _LONG)


def label_width(labels: Sequence[str | Language], least: float = 150.0) -> float:
    """Room for the labels of rows, in SVG units; a Chinese character is as wide as two letters."""
    texts = [
        f"{label.name} {label.endonym}" if isinstance(label, Language) else label[:_MAX_LABEL]
        for label in labels
    ]
    widest = max((sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
                  for text in texts), default=0)  # fmt: skip
    return min(max(20.0 + _LETTER * widest, least), 260.0)


def row_label(x: float, y: float, label: str | Language) -> Html:
    """The label of a row, right-aligned at the axis; of a language with its endonym, softer."""
    if not isinstance(label, Language):
        short = label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"
        return _text(x, y, short, "end")
    endonym = tag("tspan", label.endonym, lang=label.tag, direction=label.direction, class_="soft",
              style="unicode-bidi:isolate")  # fmt: skip
    return _text(x, y, Html(escape(label.name) + " " + endonym), "end")


def _dot(dot: Dot, x: Callable[[float], float], y: float) -> Html:
    ends = [x(value) for value in (dot.lower, dot.value, dot.upper)]
    tone = dot.paint or color(dot.series)
    paint = f"stroke:{tone};fill:{tone}"
    bar = tag("line", x1=ends[0], x2=ends[2], y1=round(y, 2), y2=round(y, 2), stroke_width=2)
    ring = {"style": "fill:var(--paper);stroke-width:1.8"} if dot.hollow else {"stroke": "none"}
    mark = tag("circle", cx=ends[1], cy=round(y, 2), r=3.6, **ring)
    return tag("g", tag("title", dot.title), bar, mark, style=paint)


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_axis: str,
    y_axis: str,
    *,
    zero: bool = False,
    width: int = 560,
    height: int = 300,
    intervals: Mapping[str, Sequence[tuple[float, float, float]]] | None = None,
) -> Html:
    """Lines over a common axis, with a legend.

    Args:
        series: points (x, y) of each line, by its name.
        x_axis: what x is, with its unit.
        y_axis: what y is, with its unit.
        zero: draw a line at 0, and keep it in view.
        width: in SVG units.
        height: likewise.
        intervals: (x, lower, upper) of points, by the name of their line; points of such lines are
            marked.
    """
    left, right, top, below = 52, 36, 24, 42
    bars = dict(intervals or {})
    points = [point for line in series.values() for point in line]
    points += [(x, end) for line in bars.values() for x, *ends in line for end in ends]
    low_x, high_x = 0.0, max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.05 * (high - low or 1.0)
    low, high = low - pad, high + pad

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x or 1.0) * (width - left - right)
        up = top + (high - y) / (high - low) * (height - top - below)
        return round(across, 1), round(up, 1)

    parts: list[Html] = []
    for value in ticks(low, high):
        y = at(0, value)[1]
        kind = "zero" if zero and value == 0 else "grid"
        parts.append(_line(left, y, width - right, y, kind))
        parts.append(_text(left - 6, y + 4, _tick(value), "end", "soft"))
    for value in ticks(low_x, high_x):
        x = at(value, low)[0]
        parts.append(_text(x, height - below + 16, f"{value:,.0f}", "middle", "soft"))
    parts.append(_text(width / 2, height - 6, x_axis, "middle", "soft"))
    parts.append(_text(4, 14, y_axis, "start", "soft"))
    for index, (name, line) in enumerate(series.items()):
        path = " ".join(f"{a},{b}" for a, b in (at(x, y) for x, y in line))
        paint = f"stroke:{color(index)};fill:none;stroke-width:1.8;stroke-linejoin:round"
        parts.append(tag("g", tag("title", name), tag("polyline", points=path), style=paint))
        parts += _bars(name, line, bars, at, color(index))
    return tag("div", legend(list(series)), _svg(width, height, parts, f"{y_axis} by {x_axis}"))


def _bars(
    name: str,
    line: Sequence[tuple[float, float]],
    intervals: Mapping[str, Sequence[tuple[float, float, float]]],
    at: Callable[[float, float], tuple[float, float]],
    tone: str,
) -> list[Html]:
    """The marks of a line's points, and their intervals."""
    if name not in intervals:
        return []
    paint = f"stroke:{tone};fill:{tone}"
    marks = [tag("circle", cx=at(x, y)[0], cy=at(x, y)[1], r=2.8, stroke="none",
                 style=paint) for x, y in line]  # fmt: skip
    return marks + [
        tag("line", x1=at(x, lower)[0], x2=at(x, upper)[0], y1=at(x, lower)[1],
            y2=at(x, upper)[1], stroke_width=1.2, style=f"{paint};stroke-opacity:0.6")
        for x, lower, upper in intervals[name]
    ]  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot.

    Attributes:
        x: across.
        y: up.
        series: index into the chart's series; decides the color. Later ones are drawn larger.
        title: shown when a pointer is over it.
    """

    x: float
    y: float
    series: int
    title: str


def scatter(
    points: Sequence[Point],
    names: Sequence[str],
    x_axis: str,
    y_axis: str,
    *,
    width: int = 560,
    height: int = 360,
) -> Html:
    """Points over two axes, with a legend; the series are drawn in order, the last on top.

    Args:
        points: at least one, finite.
        names: of the series.
        x_axis: what x is, with its unit.
        y_axis: what y is, with its unit.
        width: in SVG units.
        height: likewise.
    """
    left, right, top, below = 60, 24, 24, 42
    low, high = [], []
    for values in ([point.x for point in points], [point.y for point in points]):
        pad = 0.05 * (max(values) - min(values) or 1.0)
        low.append(min(values) - pad)
        high.append(max(values) + pad)

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low[0]) / (high[0] - low[0]) * (width - left - right)
        up = top + (high[1] - y) / (high[1] - low[1]) * (height - top - below)
        return round(across, 1), round(up, 1)

    parts: list[Html] = []
    for value in ticks(low[1], high[1]):
        y = at(low[0], value)[1]
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 6, y + 4, _tick(value), "end", "soft"))
    for value in ticks(low[0], high[0]):
        x = at(value, low[1])[0]
        parts.append(_line(x, top, x, height - below, "grid"))
        parts.append(_text(x, height - below + 16, _tick(value), "middle", "soft"))
    parts.append(_text(width / 2, height - 6, x_axis, "middle", "soft"))
    parts.append(_text(4, 14, y_axis, "start", "soft"))
    for point in sorted(points, key=lambda point: point.series):
        x, y = at(point.x, point.y)
        mark = tag("circle", cx=x, cy=y, r=2.2 + 0.7 * point.series, stroke="none")
        paint = f"fill:{color(point.series)};fill-opacity:0.85"
        parts.append(tag("g", tag("title", point.title), mark, style=paint))
    return tag("div", legend(names), _svg(width, height, parts, f"{y_axis} against {x_axis}"))


def _tick(value: float) -> str:
    """The label of a tick, with a true minus."""
    return f"{value:g}".replace("-", "\u2212")


def _svg(
    width: float, height: float, parts: Sequence[Html], name: str, *, is_long: bool = False
) -> Html:
    inner = tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=name)
    return tag("div", inner, class_="scroll long" if is_long else "scroll")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _text(x: float, y: float, words: str, anchor: str, kind: str | None = None) -> Html:
    return tag("text", escape(words), x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=kind)
