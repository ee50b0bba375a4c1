"""The page of a grading: mean grades by language, agreement of the graders, invalid ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.base import language as language_of
from polylect.judging import agreement_of_grades, mean_grades
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.page import Html, language_cell, section, table, tag, write_page

_RATES = ("grades", "mean", "95 %", "spread", "invalid")


@dataclass(frozen=True)
class Graded:
    """All that the page of a grading is drawn from.

    Attributes:
        found: of ``grade_table``, people's grades among them.
        scale: lowest and highest grade.
        self_judged: judges that graded answers of their own.
        about: settings, in words.
        ledger: what was counted.
    """

    found: pl.DataFrame
    scale: tuple[int, int]
    self_judged: Sequence[Mapping[str, str]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


def grading_summary(graded: Graded) -> str:
    """A few lines for the terminal."""
    lines = []
    for row in mean_grades(graded.found, "judge", "model").iter_rows(named=True):
        lines.append(
            f"{row['judge']} on {row['model']}: {_mean(row)} ({_interval(row)}) of"
            f" {row['grades']:,} grades from {graded.scale[0]} to {graded.scale[1]}, invalid"
            f" {row['invalid']:.1%}"
        )
    return "\n".join([*lines, *agreement_lines(agreement_of_grades(graded.found))]) + "\n"


def agreement_lines(found: pl.DataFrame) -> list[str]:
    """Agreement of judges, for the terminal; a column ``language`` is named where there is one."""
    lines = []
    for row in found.iter_rows(named=True):
        where = f" in {row['language']}" if "language" in row else ""
        # Of all judges together there is no kappa: of judgments that is the nominal alpha.
        name = "nominal alpha" if row["judges"] == "all" else "kappa"
        first = (
            ""
            if row["kappa"] is None and row["judges"] == "all"
            else (f" {name} {_number(row['kappa'])},")
        )
        lines.append(
            f"agreement {row['judges']}{where}: {_percent(row['equal'])} of {row['cases']:,},"
            f"{first} ordinal alpha {_number(row['ordinal'])}"
        )
    return lines


def write_grading_page(path: Path, graded: Graded) -> None:
    """Write the page; it appears whole or not at all."""
    low, high = graded.scale
    lead = [
        tag(
            "p",
            f"Every answer was scored alone, from {low} to {high}. A grade that cannot be read, or"
            " that is off the scale, is INVALID and never averaged. Intervals are over prompts.",
            class_="lead",
        )
    ]
    for one in graded.self_judged:
        words = f"{one['judge']} graded answers of {one['model']}: its own. Expect it to like them."
        lead.append(tag("p", tag("strong", words)))
    parts = [_overall(graded)]
    parts += [_by_language(graded, one) for one in _names(graded.found, "judge")]
    parts += [_by(graded, one) for one in ("origin", "category")]
    parts.append(_agreement(graded))
    counted = [[event, where, f"{num:,}"] for event, where, num in graded.ledger.rows()]
    if counted:
        parts.append(
            section("Counted", table(["what", "where", "how often"], counted, numbers=(2,)))
        )
    rows = [[name, tag("code", str(value))] for name, value in graded.about.items()]
    parts.append(section("How it was made", table(["setting", "value"], rows)))
    title = " and ".join(_names(graded.found, "model")) + ", graded"
    write_page(path, title, Html("".join(lead)), [one for one in parts if one])


def _names(found: pl.DataFrame, column: str) -> list[str]:
    return found[column].unique(maintain_order=True).to_list()


def _overall(graded: Graded) -> Html:
    rows = [
        [row["model"], row["judge"], *_cells(row)]
        for row in mean_grades(graded.found, "model", "judge").iter_rows(named=True)
    ]
    head = ["model", "judge", *_RATES]
    return section("All languages together", table(head, rows, numbers=range(2, len(head))))


def _by_language(graded: Graded, judge: str) -> Html:
    own = graded.found.filter(pl.col("judge") == judge)
    found = mean_grades(own, "language", "model")
    models = _names(own, "model")
    dots, rows = [], []
    for language in _names(own, "language"):
        known = language_of(language)
        mine = []
        for row in found.filter(pl.col("language") == language).iter_rows(named=True):
            rows.append([language_cell(known), row["model"], *_cells(row)])
            if row["mean"] is not None and math.isfinite(row["upper"]):
                place = models.index(row["model"])
                mine.append(Dot(row["mean"], row["lower"], row["upper"], place, row["model"]))
        if mine:
            dots.append((known, mine))
    head = ["language", "model", *_RATES]
    return section(
        f"By language, {judge}",
        legend(models) if dots and len(models) > 1 else "",
        tag("figure", dot_plot(dots, "mean grade")) if dots else "",
        table(head, rows, numbers=range(2, len(head))),
    )


def _by(graded: Graded, column: str) -> Html:
    kinds = {one for one in _names(graded.found, column) if one}
    if not kinds or len(kinds) > 20:
        return Html("")
    rows = [
        [row[column] or "not said", row["model"], row["judge"], *_cells(row)]
        for row in mean_grades(graded.found, column, "model", "judge").iter_rows(named=True)
    ]
    head = [column, "model", "judge", *_RATES]
    title = "By origin of the prompt" if column == "origin" else "By category"
    return section(title, table(head, rows, numbers=range(3, len(head))))


def _agreement(graded: Graded) -> Html:
    whole = agreement_of_grades(graded.found)
    if whole.is_empty():
        return Html("")
    rows = [["all languages", *_agreed(row)] for row in whole.iter_rows(named=True)]
    rows += [
        [language_cell(language_of(row["language"])), *_agreed(row)]
        for row in agreement_of_grades(graded.found, "language").iter_rows(named=True)
    ]
    return section(
        "Agreement",
        table(
            ["", "judges", "answers", "same grade", "kappa", "alpha"], rows, numbers=(2, 3, 4, 5)
        ),
        note="Kappa is Cohen's with squared differences as weights, alpha Krippendorff's ordinal; 0"
        " is chance, 1 is always.",
    )


def _agreed(row: Mapping[str, Any]) -> list[str]:
    return [row["judges"], f"{row['cases']:,}", _percent(row["equal"]), _number(row["kappa"]),
            _number(row["ordinal"])]  # fmt: skip


def _cells(row: Mapping[str, Any]) -> list[str]:
    spread = "–" if row["spread"] is None else f"{row['spread']:.2f}"
    return [f"{row['grades']:,}", _mean(row), _interval(row), spread, f"{row['invalid']:.1%}"]


def _mean(row: Mapping[str, Any]) -> str:
    return "–" if row["mean"] is None else f"{row['mean']:.2f}"


def _interval(row: Mapping[str, Any]) -> str:
    lower, upper = row["lower"], row["upper"]
    if lower is None or not math.isfinite(upper - lower):
        return "too few prompts"
    return f"{lower:.2f} to {upper:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")
