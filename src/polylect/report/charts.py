"""Charts as SVG: dots with intervals, and curves. The page's style colors them, light and dark."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylect.base import Language
from polylect.report.page import Html, escape, tag

_COLORS = 8


@dataclass(frozen=True)
class Dot:
    """A value with its interval.

    Attributes:
        value: the dot.
        lower: left end of the line; infinite where nothing is known: the line leaves the chart.
        upper: right end of the line; likewise.
        series: which color; an index into the chart's series.
        title: what a pointer is told.
        paint: a CSS color in place of the series'.
        hollow: drawn as a ring: there is something to know about it.
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
    """Names of the series beside their colors."""
    items = [
        tag("li", tag("i", style=f"background:{color(i)}"), name) for i, name in enumerate(names)
    ]
    return tag("ul", *items, class_="legend")


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """Round values that cover a range, about ``num`` of them."""
    span = max(high - low, 1e-12)
    raw = span / num
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def dot_plot(
    rows: Sequence[tuple[str | Language, Sequence[Dot]]],
    axis: str,
    *,
    zero: bool = False,
    width: int = 760,
    ends: tuple[str, str] | None = None,
) -> Html:
    """Rows of dots with intervals over one axis.

    Args:
        rows: label and dots of each row, from top to bottom; a language also names itself.
        axis: what the axis shows, with its unit.
        zero: draw a line at 0, and keep it in view.
        width: in the drawing's own units; the page scales it.
        ends: what the left and the right end of the axis mean.
    """
    own = any(isinstance(label, Language) for label, _ in rows)
    left, right, top, line = 236 if own else 150, 16, 8, 22
    dots = [dot for _, one in rows for dot in one]
    known = [e for d in dots for e in (d.lower, d.value, d.upper) if math.isfinite(e)]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.04 * (high - low or 1.0)
    low, high = low - pad, high + pad
    height = top + line * len(rows) + 40

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return round(left + (inside - low) / (high - low) * (width - left - right), 2)

    parts: list[Html] = []
    bottom = top + line * len(rows)
    for value in ticks(low, high):
        parts.append(_line(x(value), top, x(value), bottom, "grid"))
        parts.append(_text(x(value), bottom + 16, f"{value:g}", "middle", "soft"))
    if zero:
        parts.append(_line(x(0), top, x(0), bottom, "zero"))
    parts.append(_text((left + width - right) / 2, bottom + 34, axis, "middle", "soft"))
    if ends:
        parts.append(_text(left, bottom + 34, ends[0], "start", "soft"))
        parts.append(_text(width - right, bottom + 34, ends[1], "end", "soft"))
    for number, (label, one) in enumerate(rows):
        middle = top + line * (number + 0.5)
        parts.append(_label(left - 10, middle + 4, label))
        for at, dot in enumerate(one):
            y = middle + (at - (len(one) - 1) / 2) * min(6.0, (line - 6) / max(1, len(one)))
            parts.append(_dot(dot, x, y))
    return _svg(width, height, parts, axis)


def _label(x: float, y: float, label: str | Language) -> Html:
    """What a row is called, up to the axis; a language in English and, softer, in itself."""
    if not isinstance(label, Language):
        short = label if len(label) <= 34 else f"{label[:33]}…"
        return _text(x, y, short, "end")
    own = tag("tspan", label.endonym, lang=label.tag, direction=label.direction, class_="soft",
              style="unicode-bidi:isolate")  # fmt: skip
    return _text(x, y, Html(escape(label.name) + " " + own), "end")


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
    width: int = 760,
    height: int = 320,
) -> Html:
    """Lines over a common axis, with a legend.

    Args:
        series: points (x, y) of each line, by its name.
        x_axis: what x is, with its unit.
        y_axis: what y is, with its unit.
        width: in the drawing's own units.
        height: likewise.
    """
    left, right, top, below = 52, 36, 24, 42
    points = [point for one in series.values() for point in one]
    low_x, high_x = 0.0, max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    pad = 0.05 * (high - low or 1.0)
    low, high = low - pad, high + pad

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x or 1.0) * (width - left - right)
        up = top + (high - y) / (high - low) * (height - top - below)
        return round(across, 1), round(up, 1)

    parts: list[Html] = []
    for value in ticks(low, high):
        y = at(0, value)[1]
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 6, y + 4, f"{value:g}", "end", "soft"))
    for value in ticks(low_x, high_x):
        x = at(value, low)[0]
        parts.append(_text(x, height - below + 16, f"{value:,.0f}", "middle", "soft"))
    parts.append(_text(width / 2, height - 6, x_axis, "middle", "soft"))
    parts.append(_text(4, 14, y_axis, "start", "soft"))
    for index, (name, one) in enumerate(series.items()):
        path = " ".join(f"{a},{b}" for a, b in (at(x, y) for x, y in one))
        paint = f"stroke:{color(index)};fill:none;stroke-width:1.8;stroke-linejoin:round"
        parts.append(tag("g", tag("title", name), tag("polyline", points=path), style=paint))
    return tag("div", legend(list(series)), _svg(width, height, parts, f"{y_axis} by {x_axis}"))


@dataclass(frozen=True)
class Point:
    """A place in a plane.

    Attributes:
        x: across.
        y: up.
        series: which color; an index into the chart's series. Later ones are drawn larger.
        title: what a pointer is told.
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
    width: int = 760,
    height: int = 380,
) -> Html:
    """Points over two axes, with a legend; of each series in turn, so that the last lies on top.

    Args:
        points: at least one, finite.
        names: of the series.
        x_axis: what x is, with its unit.
        y_axis: what y is, with its unit.
        width: in the drawing's own units.
        height: likewise.
    """
    left, right, top, below = 60, 24, 24, 42
    low, high = [], []
    for values in ([one.x for one in points], [one.y for one in points]):
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
        parts.append(_text(left - 6, y + 4, f"{value:g}".replace("-", "\u2212"), "end", "soft"))
    for value in ticks(low[0], high[0]):
        x = at(value, low[1])[0]
        parts.append(_line(x, top, x, height - below, "grid"))
        parts.append(
            _text(x, height - below + 16, f"{value:g}".replace("-", "\u2212"), "middle", "soft")
        )
    parts.append(_text(width / 2, height - 6, x_axis, "middle", "soft"))
    parts.append(_text(4, 14, y_axis, "start", "soft"))
    for one in sorted(points, key=lambda point: point.series):
        x, y = at(one.x, one.y)
        mark = tag("circle", cx=x, cy=y, r=2.2 + 0.7 * one.series, stroke="none")
        paint = f"fill:{color(one.series)};fill-opacity:0.85"
        parts.append(tag("g", tag("title", one.title), mark, style=paint))
    return tag("div", legend(names), _svg(width, height, parts, f"{y_axis} against {x_axis}"))


def _svg(width: float, height: float, parts: Sequence[Html], name: str) -> Html:
    inner = tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=name)
    return tag("div", inner, class_="scroll")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _text(x: float, y: float, words: str, anchor: str, kind: str | None = None) -> Html:
    return tag("text", escape(words), x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=kind)
