"""Relative changes of a comparison, in percent and with the sign such that below 0 is worse."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylect.comparison import GAINED, OPEN, PAID, is_lower_better
from polylect.report.formats import DASH, VERDICT_CLASSES, signed, signed_interval
from polylect.report.page import Html, link, table, tag


def relative_change(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Relative change in percent with its bounds, of a row of a comparison; below 0 is worse."""
    if row["relative"] is None or row["gain"] is None:
        return None
    value = 100 * row["relative"]
    # Of several languages, relative changes and gains may rightly have unlike signs.
    # Tables of earlier versions do not say it.
    is_lower = row.get("lower_is_better", is_lower_better(row["metric"]))
    flip = -1.0 if is_lower else 1.0
    if row.get("unit") == "%":
        return tuple(100 * row[key] for key in ("change", "change_lower", "change_upper"))
    if "relative_lower" in row and row["relative_lower"] is not None:
        ends = sorted(flip * 100 * row[key] for key in ("relative_lower", "relative_upper"))
    elif row["gain"]:
        scale = abs(value / row["gain"])
        ends = [scale * row["lower"], scale * row["upper"]]
    else:
        ends = [-math.inf, math.inf]
    return flip * value, ends[0], ends[1]


def verdict_of_change(interval: tuple[float, float, float] | None) -> str:
    """The verdict on a relative change with its bounds: paid, gained, or not separable."""
    if interval is None:
        return OPEN
    return PAID if interval[2] < 0 else GAINED if interval[1] > 0 else OPEN


def change_cell(row: Mapping[str, Any] | None, target: str = "", *, bounds: bool = True) -> Html:
    """The relative change, with its interval, colored by the verdict."""
    interval = relative_change(row) if row is not None else None
    if row is None or interval is None:
        return Html(DASH)
    value = signed(interval[0], 2)
    first = link(value, target) if target else Html(value)
    span = ""
    if bounds:
        known = math.isfinite(interval[2] - interval[1])
        # Without an interval the first checkpoint is not separable from 0, or items are too few.
        span = f" {signed_interval(interval[1], interval[2], 2)}" if known else f" ({DASH})"
    near = "°" if row.get("near_chance") else ""
    class_ = VERDICT_CLASSES[verdict_of_change(interval)]
    return tag("span", first, near, tag("small", span), class_=class_)


def change_table(
    frame: pl.DataFrame,
    column: str,
    labels: Sequence[str],
    keys: Sequence[str],
    head: Sequence[str] = (),
) -> Html:
    """Relative changes without bounds: a row per scheme, a column per language or group.

    Args:
        frame: rows of the comparisons.
        column: ``language`` or ``group``.
        labels: of the schemes, in order.
        keys: the languages or groups, in order.
        head: titles; default: ``scheme`` and the keys.
    """
    cells = {(row["after"], row[column]): row for row in frame.iter_rows(named=True)}
    rows = [[label, *[change_cell(cells.get((label, key)), bounds=False) for key in keys]]
            for label in labels]  # fmt: skip
    return table(head or ["scheme", *keys], rows, numbers=range(1, len(keys) + 1))
