"""A comparison in words."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylect.base import described
from polylect.comparison.metrics import unit
from polylect.comparison.verdicts import GAINED, OPEN, PAID
from polylect.rows import AT_CHANCE, is_share

Row = Mapping[str, Any]
"""A row of a comparison's table: column to value."""

_PLURALS = {"language": "languages", "task": "tasks"}


def describe(rows: pl.DataFrame, kind: str, mean: Row) -> str:
    """Who paid, who gained, who cannot be told apart and what that would take, for one metric.

    Args:
        rows: languages or tasks, worst-hurt first.
        kind: ``language`` or ``task``.
        mean: the row of all languages together.
    """
    sides = [_side(rows, verdict, kind) for verdict in (PAID, GAINED)]
    parts = [*sides, _open(rows, kind), _guessed(rows)]
    label = f"Mean over {_PLURALS[kind]}" if rows.height > 1 else "In all"
    end = " (less is better; a gain is +)." if mean["lower_is_better"] else "."
    return f"{'; '.join(part for part in parts if part)}. {label} {_change(mean)}{end}"


def _side(rows: pl.DataFrame, verdict: str, kind: str) -> str:
    """How many paid or gained, and who most."""
    chosen = rows.filter(pl.col("verdict") == verdict)
    if chosen.is_empty():
        return f"nobody {verdict}"
    most = chosen.row(0 if verdict == PAID else -1, named=True)
    if rows.height == 1:
        return f"{row_label(most, kind)} {verdict} ({_change(most)})"
    count = "all" if chosen.height == rows.height else f"{chosen.height} of"
    return (
        f"{count} {rows.height} {_PLURALS[kind]} {verdict}, most {row_label(most, kind)}"
        f" ({_change(most)}; the {'worst' if verdict == PAID else 'best'} of {rows.height})"
    )


def _open(rows: pl.DataFrame, kind: str) -> str:
    """How many are not separable, and how many items the nearest would take."""
    undecided = rows.filter(pl.col("verdict") == OPEN)
    if undecided.is_empty():
        return ""
    count = "it" if rows.height == 1 else str(undecided.height)
    text = f"{count} cannot be told apart at this number of items"
    if undecided.filter(pl.col("worse") + pl.col("better") > 0).is_empty():
        return f"{text}: no item changed"
    known = undecided.filter(pl.col("items_needed").is_not_null())
    if known.is_empty():
        return text
    nearest = known.sort(pl.col("items_needed") / pl.col("items"), kind).row(0, named=True)
    return (
        f"{text}: to separate the {format_change(nearest)} of {row_label(nearest, kind)} would take"
        f" about {_round_up(nearest['items_needed'])} items (there are {nearest['items']:,})"
    )


def _guessed(rows: pl.DataFrame) -> str:
    """How many are no evidence, since both models guess there."""
    num = rows.filter(pl.col("verdict") == AT_CHANCE).height
    count = "it is" if rows.height == 1 else f"{num} are"
    return f"{count} at chance in both, which ranks nothing" if num else ""


def row_label(row: Row, kind: str) -> str:
    """Name of a row in a sentence or table: the language's, or the task's.

    >>> row_label({"language": "tr"}, "language")
    'Turkish'
    """
    label = row[kind]
    if kind == "task":
        return label
    if label == "und":
        return "the unknown language"
    return described(label).name


_SCALES = {"points": (100.0, 1), "%": (100.0, 1)}
"""Factor and decimals by unit; other units are given as they are, with three decimals."""


def format_change(row: Row) -> str:
    """The change with its sign and unit; a gain is above 0 whichever way the metric counts.

    >>> format_change({"metric": "bits_per_byte", "change": -0.0123, "unit": "%"})
    '-1.2 % bits per byte'
    """
    factor, digits = _SCALES.get(row["unit"], (1.0, 3))
    words = f"% {unit(row['metric'])}" if row["unit"] == "%" else row["unit"]
    return f"{factor * row['change']:+.{digits}f} {words}"


def _change(row: Row) -> str:
    """The change with its interval."""
    lower, upper = row["change_lower"], row["change_upper"]
    if lower is None or lower == float("-inf"):
        return f"{format_change(row)}, {no_interval(row)}"
    factor, digits = _SCALES.get(row["unit"], (1.0, 3))
    return f"{format_change(row)}, {factor * lower:+.{digits}f} to {factor * upper:+.{digits}f}"


def no_interval(row: Row) -> str:
    """Why a change has no interval."""
    if row["items"] and row["worse"] + row["better"] == 0:
        return "no item changed"
    return "too few items for an interval"


def _round_up(num: int) -> str:
    """A number of items rounded up to two digits, which is as much as it is known to."""
    size = 10 ** max(0, len(str(num)) - 2)
    return f"{-(-num // size) * size:,}"


def format_value(row: Row, column: str) -> str:
    """A score for a table: shares in per cent, others with three decimals."""
    value = row[column]
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if is_share(row["metric"]) else f"{value:.3f}"


def format_interval(row: Row) -> str:
    """The interval of the change for a table."""
    lower, upper = row["change_lower"], row["change_upper"]
    if lower is None or lower == float("-inf"):
        return no_interval(row).removesuffix(" for an interval")
    factor, digits = _SCALES.get(row["unit"], (1.0, 3))
    return f"{factor * lower:+.{digits}f} … {factor * upper:+.{digits}f}"
