"""The page of a comparison: who gained, who paid, and what cannot be told apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import LANGUAGES, Ledger
from polylect.comparison import (
    GAINED,
    OPEN,
    PAID,
    Comparison,
    ScoredModel,
    display_scale,
    is_share,
    unit,
)
from polylect.report.charts import Dot, dot_plot
from polylect.report.folder import minus, signed
from polylect.report.page import Html, join, language_cell, section, table, tag, write_page

_KINDS = {PAID: "worse", GAINED: "better", OPEN: "level"}
_SHOWN_CELLS = 80
_GROUPS = {
    "all": "all", "latin-ie": "script and family", "script": "script", "family": "family",
    "class": "resource class", "given": "given",
}  # fmt: skip


def write_comparison(path: Path, found: Comparison, sides: tuple[ScoredModel, ScoredModel]) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: the HTML file.
        found: what ``compare`` returned.
        sides: where the scores come from.
    """
    metrics = found.metrics
    sections = [one for metric in metrics for one in _metric(found, metric, len(metrics) > 1)]
    sections += [_reading(found), _counted(found, sides), _settings(found, sides)]
    told = [tag("li", minus(found.sentence(metric))) for metric in metrics]
    lead = join(
        [
            tag(
                "p",
                tag("strong", f"B: {found.after}"),
                " against ",
                tag("strong", f"A: {found.before}"),
                ", on the items that both were scored on. A gain is an improvement, whichever way"
                " the metric counts.",
                class_="lead",
            ),
            tag("ul", *told, class_="found"),
        ]
    )
    write_page(path, "Who gained, who paid", lead, sections)


def _metric(found: Comparison, metric: str, several: bool) -> list[Html]:
    """The sections of one metric: languages, groups, and every task in every language."""
    rows = found.languages.filter(pl.col("metric") == metric)
    groups = found.groups.filter(pl.col("metric") == metric)
    cells = found.cells.filter(pl.col("metric") == metric)
    name = f"{metric}: " if several else ""
    level = f"{100 * found.level:g}\u00a0%"
    shown = rows if rows.height > 1 else cells
    kind = "languages" if rows.height > 1 else "tasks"
    singled = (
        f" The first of them is the worst of {shown.height}, picked out after looking; the"
        " intervals allow for that."
        if shown.height > 1
        else ""
    )
    parts = [
        section(
            f"{name}{kind.capitalize()}, worst-hurt first",
            _chart(shown, metric, kind),
            _languages(rows, found),
            note=f"Gain in {_unit(metric)} from A to B, with intervals that hold for all"
            f" {shown.height} at once ({level}).{singled} A ring: A is near chance there, so"
            " that it has little to lose.",
        )
    ]
    if rows.height > 1:
        gaps = found.gaps.filter(pl.col("metric") == metric)
        parts.append(_groups(groups, gaps, level, name))
    if cells.height > rows.height or rows.height == 1 or cells["p"].null_count() < cells.height:
        parts.append(_cells(cells, metric, level, name))
    return parts


def _unit(metric: str) -> str:
    return "points (hundredths of the items)" if is_share(metric) else unit(metric)


def _chart(rows: pl.DataFrame, metric: str, kind: str) -> Html:
    factor = display_scale(metric)
    plot = []
    for row in rows.filter(pl.col("gain").is_not_null()).iter_rows(named=True):
        known = LANGUAGES.get(row["language"])
        label: Any = known or row["language"]
        if kind == "tasks":
            label = row["task"]
        dot = Dot(
            factor * row["gain"],
            factor * row["lower"],
            factor * row["upper"],
            0,
            f"{row['task' if kind == 'tasks' else 'language']}: {_gain(row)}, {row['verdict']}",
            paint=f"var(--{_KINDS[row['verdict']]})",
            hollow=bool(row["near_chance"]),
        )
        plot.append((label, [dot]))
    if not plot:
        return Html("")
    axis = f"gain, {unit(metric)}"
    return dot_plot(plot, axis, zero=True, ends=("← worse", "better →"))


def _gain(row: dict[str, Any]) -> str:
    """The gain with its interval, as text."""
    if row["gain"] is None:
        return "–"
    factor, digits = display_scale(row["metric"]), 1 if is_share(row["metric"]) else 3
    low, high = factor * row["lower"], factor * row["upper"]
    span = f"{signed(low, digits)} to {signed(high, digits)}"
    return f"{signed(factor * row['gain'], digits)} ({span})"


def _gain_cell(row: dict[str, Any]) -> Html:
    words = _gain(row)
    if " " not in words:
        return Html("–")
    first, rest = words.split(" ", 1)
    return tag("span", first, " ", tag("small", rest), class_=_KINDS[row["verdict"]])


def _value(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if is_share(row["metric"]) else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{signed(100 * value, 1)} %"


def _needed(row: dict[str, Any]) -> str:
    """How many items would separate what was seen; a dash where it is, or nothing was seen."""
    if row["verdict"] != OPEN or row["items_needed"] is None:
        return "–"
    return f"{row['items_needed']:,}"


def _able(row: dict[str, Any]) -> str:
    if row["detectable"] is None:
        return "–"
    digits = 1 if is_share(row["metric"]) else 3
    return f"{display_scale(row['metric']) * row['detectable']:.{digits}f}"


def _verdict(row: dict[str, Any]) -> Html:
    return tag("span", row["verdict"], class_=_KINDS[row["verdict"]])


def _language(label: str) -> Html:
    known = LANGUAGES.get(label)
    if known is not None:
        return language_cell(known)
    return Html("language unknown") if label == "und" else tag("span", label)


def _languages(rows: pl.DataFrame, found: Comparison) -> Html:
    head = ["language", "A", "B", "gain", "", "relative", "tasks", "items", "worse / better",
            "separable from", "items to separate"]  # fmt: skip
    lines = []
    for row in rows.iter_rows(named=True):
        near = row["near_chance"]
        mark = tag("small", f" ({near} of {row['tasks']} near chance)") if near else Html("")
        lines.append(
            [
                _language(row["language"]), _value(row, "before"), _value(row, "after"),
                _gain_cell(row), _verdict(row), tag("span", _percent(row["relative"]), mark),
                row["tasks"], f"{row['items']:,}", f"{row['worse']:,} / {row['better']:,}",
                _able(row), _needed(row),
            ]
        )  # fmt: skip
    return table(head, lines, numbers=(1, 2, 3, 5, 6, 7, 8, 9, 10))


def _groups(rows: pl.DataFrame, gaps: pl.DataFrame, level: str, name: str) -> Html:
    head = ["group", "", "languages", "gain", "", "relative", "items", "items to separate"]
    lines = []
    for row in rows.iter_rows(named=True):
        change = Html("–")
        if row["relative"] is not None:
            low, high = (
                signed(100 * row["relative_lower"], 1),
                signed(100 * row["relative_upper"], 1),
            )
            change = tag("span", _percent(row["relative"]), " ", tag("small", f"({low} to {high})"))
        thin = tag("small", f" {row['thin']} of few items") if row["thin"] else Html("")
        lines.append(
            [
                row["group"], tag("small", _GROUPS[row["kind"]]), row["num_languages"],
                _gain_cell(row), tag("span", _verdict(row), thin), change, f"{row['items']:,}",
                _needed(row),
            ]
        )  # fmt: skip
    return section(
        f"{name}Groups of languages",
        table(head, lines, numbers=(2, 3, 5, 6, 7)),
        note=f"Means over languages, each counting alike, and over the tasks of a language."
        f" Intervals hold for all groups at once ({level}). Relative: 100 · (B − A) / A, the mean"
        " over tasks, then over languages, as the quantization papers report it."
        + "".join(map(_gap, gaps.iter_rows(named=True))),
    )


def _gap(row: Mapping[str, Any]) -> str:
    value, low, high = (signed(100 * row[key], 2) for key in
                        ("relative", "relative_lower", "relative_upper"))  # fmt: skip
    words = {"paid": "pay more", "gained": "gain more, or pay less"}
    said = words.get(row["verdict"], "are not separable from them")
    return (
        f" The gap between the halves: {row['second']} less {row['first']}, {value} points"
        f" ({low} to {high}): the former {said}."
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
            " McNemar's exact test beside them counts items as independent; Holm adjusts it for"
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
        row["task"], _language(row["language"]), _value(row, "before"), _value(row, "after"),
        _gain_cell(row), _verdict(row), tag("span", _percent(row["relative"]), near), items,
        f"{row['worse']:,} / {row['better']:,}", *tests, _able(row), _needed(row),
        f"{row['unmatched']:,}", f"{row['truncated']:,}",
    ]  # fmt: skip


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _reading(found: Comparison) -> Html:
    level = f"{100 * found.level:g}"
    words: Sequence[tuple[str, str]] = (
        ("gain", "B minus A where higher is better, A minus B where lower is; above 0, B is better."
         " Shares of right answers are in points: hundredths of the items."),
        ("paid, gained, not separable", "the whole interval lies below 0, above 0, or holds 0."
         " Not separable does not mean equal: see what would have been seen."),
        ("interval", f"in {level} of 100 such comparisons all intervals of a table hold together."
         " Whole clusters of items (a document, an item in all its translations) are resampled, the"
         " same in both models, so that what makes an item hard for both cancels."),
        ("separable from", "the smallest true gain or loss that this number of items separates in"
         " 80 of 100 comparisons."),
        ("items to separate", "how many would separate the gain seen, were it the true one, in 80"
         " of 100 comparisons."),
        ("worse / better", "items whose own score fell or rose. McNemar's test asks whether such a"
         " split could be a coin's."),
        ("near chance", f"the {level} % interval of A alone reaches down to what guessing has. A"
         " model that guesses has nothing to lose: its relative change says little."),
    )  # fmt: skip
    rows = [[tag("strong", name), text] for name, text in words]
    return section("How to read this", table(["", ""], rows))


def _counted(found: Comparison, sides: tuple[ScoredModel, ScoredModel]) -> Html:
    rows = []
    ledgers: Sequence[tuple[str, Ledger]] = (
        ("A", sides[0].ledger), ("B", sides[1].ledger), ("A and B", found.ledger),
    )  # fmt: skip
    for name, one in ledgers:
        by_event: dict[str, list[tuple[str, int]]] = {}
        for event, where, num in one.rows():
            by_event.setdefault(event, []).append((where, num))
        for event, places in by_event.items():
            told = ", ".join(f"{where} {num:,}" for where, num in places[:12])
            told += f" and {len(places) - 12} more" if len(places) > 12 else ""
            rows.append([name, event, f"{sum(num for _, num in places):,}", tag("small", told)])
    return section(
        "What was counted",
        table(["side", "what", "how often", "where"], rows, numbers=(2,))
        if rows
        else tag("p", "Every item of both sides was compared."),
        note="Items that only one side has, or that are invalid on one, are left out and counted"
        " here. Truncated ones are compared.",
    )


def _settings(found: Comparison, sides: tuple[ScoredModel, ScoredModel]) -> Html:
    keys = list(dict.fromkeys(key for one in sides for key in one.settings))
    rows = [
        ["name", *[tag("code", one.name) for one in sides]],
        ["read as", *[one.kind for one in sides]],
        ["rows", *[f"{one.table.frame.height:,}" for one in sides]],
        *[[key, *[tag("code", str(one.settings.get(key, "–"))) for one in sides]] for key in keys],
    ]
    told = " · ".join(f"{key.replace('_', ' ')}: {value}" for key, value in found.settings.items())
    read = {**sides[0].languages, **sides[1].languages}
    names = [[task, _language(label)] for task, label in sorted(read.items())]
    parts: list[Html] = [
        table(["", "A", "B"], rows),
        tag("p", f"Comparison — {told}", class_="note"),
    ]
    if names:
        summary = tag("summary", "languages, as read from the names of the tasks")
        parts.append(tag("details", summary, table(["task", "language"], names)))
    return section("Settings", *parts)
