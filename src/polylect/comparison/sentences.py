"""A comparison in words."""

from typing import TYPE_CHECKING, Any

import polars as pl

from polylect.base import LANGUAGES
from polylect.comparison.language_groups import ALL
from polylect.comparison.metrics import has_ratio, is_lower_better, is_share, unit

if TYPE_CHECKING:
    from polylect.comparison.paired import Comparison


def sentence(found: "Comparison") -> str:
    """Who paid, who gained, who cannot be told apart and what that would take; per metric."""
    metrics = found.languages["metric"].unique().sort()
    told = [about(found, metric) for metric in metrics]
    return f"{found.after} against {found.before}: " + " ".join(told)


def about(found: "Comparison", metric: str) -> str:
    """What is said of one metric."""
    rows, what = claims(found, metric)
    whole = found.groups.filter((pl.col("group") == ALL) & (pl.col("metric") == metric))
    parts = [_side(rows, "paid", what), _side(rows, "gained", what), _open(rows, what)]
    mean = whole.row(0, named=True)
    name = f"{metric}: " if found.languages["metric"].n_unique() > 1 else ""
    over = f"mean over {what[1]}" if rows.height > 1 else "in all"
    told = f"{name}{'; '.join(one for one in parts if one)}. {over.capitalize()} {change(mean)}"
    return told + ("; less is better." if is_lower_better(metric) else ".")


def claims(found: "Comparison", metric: str) -> tuple[pl.DataFrame, tuple[str, str]]:
    """Who may have paid: the languages; the tasks, where there is only one language."""
    rows = found.languages.filter(pl.col("metric") == metric)
    cells = found.cells.filter((pl.col("metric") == metric) & (pl.col("items") > 0))
    if rows.height == 1 and cells.height > 1:
        return cells, ("task", "tasks")
    return rows, ("language", "languages")


def _side(rows: pl.DataFrame, verdict: str, what: tuple[str, str]) -> str:
    named = rows.filter(pl.col("verdict") == verdict)
    if named.is_empty():
        return f"nobody {verdict}"
    most = named.row(0 if verdict == "paid" else -1, named=True)
    total = rows.height
    if total == 1:
        return f"{name_of(most, what)} {verdict} ({change(most)})"
    count = "all" if named.height == total else f"{named.height} of"
    return (
        f"{count} {total} {what[1]} {verdict}, most {name_of(most, what)}"
        f" ({change(most)}; the {'worst' if verdict == 'paid' else 'best'} of {total})"
    )


def _open(rows: pl.DataFrame, what: tuple[str, str]) -> str:
    named = rows.filter(pl.col("verdict") == "not separable")
    if named.is_empty():
        return ""
    count = "it" if rows.height == 1 else str(named.height)
    text = f"{count} cannot be told apart at this number of items"
    if named.filter(pl.col("worse") + pl.col("better") > 0).is_empty():
        return f"{text}: no item changed"
    near = named.filter(pl.col("items_needed").is_not_null())
    if near.is_empty():
        return text
    one = near.sort(pl.col("items_needed") / pl.col("items"), what[0]).row(0, named=True)
    return (
        f"{text}: to separate the {point(one)} of {name_of(one, what)} would take about"
        f" {rounded(one['items_needed'])} items (there are {one['items']:,})"
    )


def name_of(row: dict[str, Any], what: tuple[str, str]) -> str:
    """What a row is called in a sentence."""
    label = row[what[0]]
    if what[0] == "task":
        return label
    if label == "und":
        return "the unknown language"
    return LANGUAGES[label].name if label in LANGUAGES else label


def point(row: dict[str, Any]) -> str:
    """The change of a row in its unit, with its sign: points, per cent, or the unit itself."""
    metric = row["metric"]
    if is_share(metric):
        return f"{100 * row['gain']:+.1f} points"
    if has_ratio(metric) and row["relative"] is not None:
        return f"{100 * row['relative']:+.1f} % {unit(metric)}"
    return f"{row['gain']:+.3g} {unit(metric)}"


def change(row: dict[str, Any]) -> str:
    """The change of a row with its interval."""
    lower, upper, factor, digits = row["lower"], row["upper"], 100.0, 1
    if not is_share(row["metric"]):
        if row.get("relative_lower") is not None:
            lower, upper = row["relative_lower"], row["relative_upper"]
        elif row.get("relative") is None:
            factor, digits = 1.0, 3
        else:
            return point(row)
    if lower is None or lower == float("-inf"):
        return f"{point(row)}, too few items for an interval"
    return f"{point(row)}, {factor * lower:+.{digits}f} to {factor * upper:+.{digits}f}"


def rounded(num: int) -> str:
    """A number of items to two digits: more would promise what it does not know."""
    size = 10 ** max(0, len(str(num)) - 2)
    return f"{-(-num // size) * size:,}"


def value_of(row: dict[str, Any], column: str) -> str:
    """A value or gain as it is shown: shares in per cent or points, else three digits."""
    value = row[column]
    if value is None:
        return "–"
    signed = "+" if column == "gain" else ""
    if is_share(row["metric"]):
        return f"{100 * value:{signed}.1f}"
    return f"{value:{signed}.3f}"


def interval_of(row: dict[str, Any]) -> str:
    """The gain's interval as it is shown."""
    lower, upper = row["lower"], row["upper"]
    if lower is None or lower == float("-inf"):
        return "too few items"
    if is_share(row["metric"]):
        return f"{100 * lower:+.1f} … {100 * upper:+.1f}"
    return f"{lower:+.3f} … {upper:+.3f}"
