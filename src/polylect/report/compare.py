"""The page of a comparison: who gained, who paid, and what is not separable."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.comparison import (
    OPEN,
    Comparison,
    ScoredModel,
    no_interval,
    unit,
)
from polylect.report.charts import Dot, dot_plot
from polylect.report.formats import (
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    language_of,
    lead,
    signed,
    signed_interval,
    verdict_cell,
)
from polylect.report.page import Html, join, section, table, tag, write_page
from polylect.report.relative_changes import relative_change
from polylect.rows import is_share

_SHOWN_CELLS = 80
_GROUPS = {
    "all": "all", "latin-ie": "script and family", "script": "script", "family": "family",
    "class": "resource class", "given": "given",
}  # fmt: skip


def write_comparison(
    path: Path, comparison: Comparison, sides: tuple[ScoredModel, ScoredModel]
) -> None:
    """Write the page; the file appears complete or not at all.

    Args:
        path: the HTML file.
        comparison: of the two checkpoints.
        sides: the scores of both, and where they come from.
    """
    metrics = comparison.metrics
    sections = [part for metric in metrics
                for part in _metric(comparison, metric, len(metrics) > 1)]  # fmt: skip
    sections += [_reading(comparison), _counted(comparison, sides), _settings(comparison, sides)]
    words = join([
        tag("strong", f"B: {comparison.after}"), " against ",
        tag("strong", f"A: {comparison.before}"), ", on the items that both were scored on. A gain"
        " is an improvement, whether more or less of the metric is better.",
    ])  # fmt: skip
    opening = lead(words, [comparison.sentence(metric) for metric in metrics])
    write_page(path, "Who gained, who paid", opening, sections)


def _metric(comparison: Comparison, metric: str, several: bool) -> list[Html]:
    """The sections of one metric: languages, groups, and every task in every language."""
    rows = comparison.languages.filter(pl.col("metric") == metric)
    groups = comparison.groups.filter(pl.col("metric") == metric)
    cells = comparison.cells.filter(pl.col("metric") == metric)
    name = f"{metric}: " if several else ""
    level = f"{100 * comparison.level:g}\u00a0%"
    shown = rows if rows.height > 1 else cells
    kind = "languages" if rows.height > 1 else "tasks"
    selected = (
        f" The first is the worst of {shown.height}, selected after looking; the intervals allow"
        " for that."
        if shown.height > 1
        else ""
    )
    parts = [
        section(
            f"{name}{kind.capitalize()}, worst-hurt first",
            _chart(shown, metric, kind),
            _languages(rows, comparison),
            note=f"Gain in {_unit(shown['unit'][0], metric)} from A to B, with intervals that hold"
            f" for all {shown.height} at once ({level}).{selected} Rings: A is near chance there"
            " and has little to lose.",
        )
    ]
    if rows.height > 1:
        gaps = comparison.gaps.filter(pl.col("metric") == metric)
        parts.append(_groups(groups, gaps, level, name))
    if cells.height > rows.height or rows.height == 1 or cells["p"].null_count() < cells.height:
        parts.append(_cells(cells, metric, level, name))
    return parts


def _unit(unit_of: str, metric: str) -> str:
    if unit_of == "points":
        return "points (hundredths of the items)"
    return f"% of A's {unit(metric)}" if unit_of == "%" else unit_of


def _chart(rows: pl.DataFrame, metric: str, kind: str) -> Html:
    plot = []
    for row in rows.filter(pl.col("change").is_not_null()).iter_rows(named=True):
        factor = _scale(row)[0]
        label = row["task"] if kind == "tasks" else language_of(row["language"])
        dot = Dot(
            factor * row["change"],
            factor * row["change_lower"],
            factor * row["change_upper"],
            0,
            f"{row['task' if kind == 'tasks' else 'language']}: {' '.join(_gain(row))},"
            f" {row['verdict']}",
            paint=f"var(--{VERDICT_CLASSES[row['verdict']]})",
            hollow=bool(row["near_chance"]),
        )
        plot.append((label, [dot]))
    if not plot:
        return Html("")
    axis = f"gain, {_unit(rows['unit'][0], metric)}"
    return dot_plot(plot, axis, zero=True, ends=("← worse", "better →"))


def _scale(row: Mapping[str, Any]) -> tuple[float, int]:
    """Factor and decimals of a change."""
    return (100.0, 1) if row["unit"] in {"points", "%"} else (1.0, 3)


def _gain(row: dict[str, Any]) -> tuple[str, str]:
    """The gain as it is printed, and its interval."""
    factor, digits = _scale(row)
    lower, upper = row["change_lower"], row["change_upper"]
    bounds = f"({no_interval(row).removesuffix(' for an interval')})"
    if math.isfinite(upper - lower):
        bounds = signed_interval(factor * lower, factor * upper, digits)
    return signed(factor * row["change"], digits), bounds


def _gain_cell(row: dict[str, Any]) -> Html:
    if row["change"] is None:
        return Html(DASH)
    gain, bounds = _gain(row)
    return tag("span", gain, " ", tag("small", bounds), class_=VERDICT_CLASSES[row["verdict"]])


def _value(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return DASH
    return f"{100 * value:.1f}" if is_share(row["metric"]) else f"{value:.3f}"


def _change(row: Mapping[str, Any]) -> str:
    """The relative change, a gain above 0."""
    change = relative_change(row)
    return DASH if change is None else f"{signed(change[0], 1)} %"


def _needed(row: dict[str, Any]) -> str:
    """Items that would separate the gain seen; a dash where it is separated, or there is none."""
    if row["verdict"] != OPEN or row["items_needed"] is None:
        return DASH
    return f"{row['items_needed']:,}"


def _detectable(row: dict[str, Any]) -> str:
    """The smallest true gain that this number of items separates."""
    if row["detectable"] is None:
        return DASH
    factor, digits = _scale(row)
    return f"{factor * row['detectable']:.{digits}f}"


def _languages(rows: pl.DataFrame, comparison: Comparison) -> Html:
    head = ["language", "A", "B", "gain", "", "relative", "tasks", "items", "worse / better",
            "separable from", "items to separate"]  # fmt: skip
    lines = []
    for row in rows.iter_rows(named=True):
        near = row["near_chance"]
        mark = tag("small", f" ({near} of {row['tasks']} near chance)") if near else Html("")
        lines.append(
            [
                language_cell_of(row["language"]), _value(row, "before"), _value(row, "after"),
                _gain_cell(row), verdict_cell(row["verdict"]),
                tag("span", _change(row), mark),
                row["tasks"], f"{row['items']:,}", f"{row['worse']:,} / {row['better']:,}",
                _detectable(row), _needed(row),
            ]
        )  # fmt: skip
    return table(head, lines, numbers=(1, 2, 3, 5, 6, 7, 8, 9, 10))


def _groups(rows: pl.DataFrame, gaps: pl.DataFrame, level: str, name: str) -> Html:
    head = ["group", "", "languages", "gain", "", "relative", "items", "items to separate"]
    lines = []
    for row in rows.iter_rows(named=True):
        change = Html(DASH)
        if row["relative"] is not None:
            change = tag("span", _change(row), " ", tag("small", _relative_bounds(row)))
        thin = tag("small", f" {row['thin']} of few items") if row["thin"] else Html("")
        lines.append(
            [
                row["group"], tag("small", _GROUPS[row["kind"]]), row["num_languages"],
                _gain_cell(row), tag("span", verdict_cell(row["verdict"]), thin), change,
                f"{row['items']:,}",
                _needed(row),
            ]
        )  # fmt: skip
    return section(
        f"{name}Groups of languages",
        table(head, lines, numbers=(2, 3, 5, 6, 7)),
        note=f"Means over languages and over the tasks of a language, each counting equally."
        f" Intervals hold for all groups at once ({level}). Relative: 100 · (B − A) / A, the mean"
        " over tasks, then over languages, as the quantization papers report it; a gain is above 0,"
        " also where less of the metric is better."
        + "".join(map(_gap, gaps.iter_rows(named=True))),
    )


def _relative_bounds(row: Mapping[str, Any]) -> str:
    change = relative_change(row)
    if change is None or not math.isfinite(change[2] - change[1]):
        return f"({DASH}: A is not separable from 0)"
    return signed_interval(change[1], change[2], 1)


def _gap(row: Mapping[str, Any]) -> str:
    if row["relative"] is None:
        return (
            f" The gap between the halves, {row['second']} less {row['first']}, is undefined: A"
            " scores 0 in some language."
        )
    value = signed(100 * row["relative"], 2)
    span = signed_interval(100 * row["relative_lower"], 100 * row["relative_upper"], 2)
    if not math.isfinite(row["relative_upper"] - row["relative_lower"]):
        span = f"({DASH}: A is not separable from 0 in some language, or there are too few items)"
    words = {"paid": "pay more", "gained": "gain more, or pay less"}
    outcome = words.get(row["verdict"], "are not separable from them")
    return (
        f" The gap between the halves: {row['second']} less {row['first']}, {value} points"
        f" {span}: the former {outcome}."
    )


def _cells(rows: pl.DataFrame, metric: str, level: str, name: str) -> Html:
    shares = rows["p"].null_count() < rows.height
    head = ["task", "language", "A", "B", "gain", "", "relative", "items", "worse / better"]
    head += ["McNemar p", "Holm p"] if shares else []
    head += ["separable from", "items to separate", "unmatched", "truncated"]
    lines = [_cell_line(row, shares) for row in rows.iter_rows(named=True)]
    numbers = [2, 3, 4, *range(6, len(head))]
    parts = [table(head, lines[:_SHOWN_CELLS], numbers=numbers)]
    if len(lines) > _SHOWN_CELLS:
        rest = table(head, lines[_SHOWN_CELLS:], numbers=numbers)
        summary = tag("summary", f"the other {len(lines) - _SHOWN_CELLS:,}")
        parts.append(tag("details", summary, rest))
    return section(
        f"{name}Every task in every language",
        *parts,
        note=f"Worst-hurt first; intervals hold for all {rows.height:,} rows at once ({level})."
        + (
            " McNemar's exact test treats items as independent; Holm adjusts it for"
            f" {rows.height:,} tests."
            if shares
            else ""
        ),
    )


def _cell_line(row: dict[str, Any], shares: bool) -> list[object]:
    near = tag("small", " near chance") if row["near_chance"] else Html("")
    items = f"{row['items']:,}"
    if row["clusters"] != row["items"]:
        items = tag("span", items, tag("small", f" in {row['clusters']:,}"))
    tests = [_p(row["p"]), _p(row["p_holm"])] if shares else []
    return [
        row["task"], language_cell_of(row["language"]), _value(row, "before"), _value(row, "after"),
        _gain_cell(row), verdict_cell(row["verdict"]),
        tag("span", _change(row), near), items,
        f"{row['worse']:,} / {row['better']:,}", *tests, _detectable(row), _needed(row),
        f"{row['unmatched']:,}", f"{row['truncated']:,}",
    ]  # fmt: skip


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _reading(comparison: Comparison) -> Html:
    level = f"{100 * comparison.level:g}"
    words: Sequence[tuple[str, str]] = (
        ("gain", "B minus A where higher is better, A minus B where lower is; above 0, B is better."
         " Shares of right answers are in points: hundredths of the items; bits and losses in per"
         " cent of A's, since a byte carries less in some scripts than in others."),
        ("paid, gained, not separable", "the whole interval is below 0, above 0, or contains 0."
         " Not separable does not mean equal: see what this many items can separate."),
        ("interval", f"in {level} of 100 such comparisons all intervals of a table hold together."
         " Whole clusters of items (a document, an item in all its translations) are resampled, the"
         " same for both models, so that what makes an item hard for both cancels out."),
        ("separable from", "the smallest true gain or loss that this number of items separates in"
         " 80 of 100 comparisons."),
        ("items to separate", "how many would separate the gain seen, were it the true one, in 80"
         " of 100 comparisons."),
        ("worse / better", "items whose score fell or rose. McNemar's test asks whether a fair coin"
         " could give such a split."),
        ("near chance", f"the {level} % interval of A alone includes the score of guessing. A model"
         " that guesses has nothing to lose: its relative change says little."),
        ("at chance", "so does B's: neither is shown to do better than a guess. Such rows are not"
         " ranked and stand last."),
    )  # fmt: skip
    rows = [[tag("strong", name), text] for name, text in words]
    return section("How to read this", table(["", ""], rows))


def _counted(comparison: Comparison, sides: tuple[ScoredModel, ScoredModel]) -> Html:
    rows = []
    ledgers: Sequence[tuple[str, Ledger]] = (
        ("A", sides[0].ledger), ("B", sides[1].ledger), ("A and B", comparison.ledger),
    )  # fmt: skip
    for name, ledger in ledgers:
        by_event: dict[str, list[tuple[str, int]]] = {}
        for event, where, num in ledger.rows():
            by_event.setdefault(event, []).append((where, num))
        for event, places in by_event.items():
            listed = ", ".join(f"{where} {num:,}" for where, num in places[:12])
            listed += f" and {len(places) - 12} more" if len(places) > 12 else ""
            rows.append([name, event, f"{sum(num for _, num in places):,}", tag("small", listed)])
    return section(
        "What was counted",
        table(["side", "what", "how often", "where"], rows, numbers=(2,))
        if rows
        else tag("p", "Every item of both sides was compared."),
        note="Items that only one side has, or that are invalid on one, are left out. Truncated"
        " items are compared.",
    )


def _settings(comparison: Comparison, sides: tuple[ScoredModel, ScoredModel]) -> Html:
    keys = list(dict.fromkeys(key for side in sides for key in side.settings))
    rows = [
        ["name", *[tag("code", side.name) for side in sides]],
        ["read as", *[side.kind for side in sides]],
        ["rows", *[f"{side.table.frame.height:,}" for side in sides]],
        *[
            [key, *[tag("code", str(side.settings.get(key, DASH))) for side in sides]]
            for key in keys
        ],
    ]
    chosen = " · ".join(
        f"{key.replace('_', ' ')}: {value}" for key, value in comparison.settings.items()
    )
    languages = {**sides[0].languages, **sides[1].languages}
    names = [[task, language_cell_of(label)] for task, label in sorted(languages.items())]
    parts: list[Html] = [
        table(["", "A", "B"], rows),
        tag("p", f"Comparison — {chosen}", class_="note"),
    ]
    if names:
        summary = tag("summary", "languages, as read from the names of the tasks")
        parts.append(tag("details", summary, table(["task", "language"], names)))
    return section("Settings", *parts)
