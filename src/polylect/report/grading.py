"""The page of a grading: mean grades by language, agreement of the judges, invalid grades."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.judging import (
    GRADING,
    grade_agreement,
    grade_table,
    mean_grade_table,
    read_grades,
)
from polylect.report.agreement import (
    GRADES,
    OF_GRADES,
    agreement_lines,
    agreement_section,
    self_judged_lines,
)
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.formats import (
    DASH,
    interval,
    language_cell_of,
    language_of,
    ledger_section,
    percent,
    settings_table,
)
from polylect.report.page import Html, join, section, table, tag, write_page
from polylect.rows import Grade, write_rows
from polylect.runs import open_artifact

_COLUMNS = ("grades", "mean", "95 %", "spread", "invalid")
_MOST_GROUPS = 20


@dataclass(frozen=True)
class Graded:
    """All that the page of a grading is drawn from.

    Attributes:
        grades: of ``grade_table``, people's grades among them.
        scale: lowest and highest grade.
        self_judged: judges that graded answers of their own.
        settings: shown on the page.
        ledger: what was counted.
    """

    grades: pl.DataFrame
    scale: tuple[int, int]
    self_judged: Sequence[Mapping[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def only(self, judge: str) -> pl.DataFrame:
        """The grades of one judge."""
        return self.grades.filter(pl.col("judge") == judge)


def read_graded(folder: Path) -> Graded:
    """All that the page of a finished folder of ``polylect grade`` is drawn from."""
    about, people = read_json(folder / GRADING), folder / _PEOPLE
    rows = [*read_grades(folder), *(read_grades(people) if people.is_file() else [])]
    low, high = about["scale"]
    return Graded(
        grades=grade_table(rows),
        scale=(low, high),
        self_judged=about["self_judged"],
        settings={"rubric": about["rubric"], "source": about["source"],
                  **read_json(folder / "step.json")["config"]},
        ledger=open_artifact(folder).ledger,
    )  # fmt: skip


def write_grades_page(folder: Path, people: Sequence[Grade]) -> None:
    """Write the page of a finished folder, and the grades of people beside the judges'.

    Args:
        folder: of ``polylect grade``.
        people: grades of the same answers by people; may be none.
    """
    if people:
        write_rows(folder / _PEOPLE, Grade, people)
    else:
        (folder / _PEOPLE).unlink(missing_ok=True)
    write_grading_page(folder / "index.html", read_graded(folder))


_PEOPLE = "people.parquet"


def grading_summary(graded: Graded) -> str:
    """A few lines for the terminal."""
    low, high = graded.scale
    lines = [
        f"{row['judge']} on {row['model']}: {_mean(row)} ({_interval(row)}) of"
        f" {row['grades']:,} grades from {low} to {high}, invalid {percent(row['invalid'])}"
        for row in _means(graded, "judge", "model").iter_rows(named=True)
    ]
    return "\n".join([*lines, *agreement_lines(grade_agreement(graded.grades))]) + "\n"


def write_grading_page(path: Path, graded: Graded) -> None:
    """Write the page; the file appears complete or not at all."""
    low, high = graded.scale
    words = (
        f"Every answer was graded alone, from {low} to {high}. A grade that cannot be read, or is"
        " off the scale, is INVALID and never averaged. Intervals are over prompts."
    )
    lead = join([
        tag("p", words, class_="lead"), *self_judged_lines(graded.self_judged, "graded"),
    ])  # fmt: skip
    sections = [
        _overall(graded),
        *[_by_language(graded, judge) for judge in _unique(graded.grades, "judge")],
        _by_group(graded, "origin", "By origin of the prompt"),
        _by_group(graded, "category", "By category"),
        agreement_section(
            grade_agreement(graded.grades),
            grade_agreement(graded.grades, "language"),
            GRADES,
            note=OF_GRADES,
        ),
        ledger_section(graded.ledger.rows()),
        section("How it was made", settings_table(graded.settings)),
    ]
    title = " and ".join(_unique(graded.grades, "model")) + ", graded"
    write_page(path, title, lead, sections)


def _means(graded: Graded, *columns: str) -> pl.DataFrame:
    return mean_grade_table(graded.grades, *columns, scale=graded.scale)


def _unique(grades: pl.DataFrame, column: str) -> list[str]:
    return grades[column].unique(maintain_order=True).to_list()


def _overall(graded: Graded) -> Html:
    rows = [
        [row["model"], row["judge"], *_cells(row)]
        for row in _means(graded, "model", "judge").iter_rows(named=True)
    ]
    head = ["model", "judge", *_COLUMNS]
    return section("All languages together", table(head, rows, numbers=range(2, len(head))))


def _by_language(graded: Graded, judge: str) -> Html:
    grades = graded.only(judge)
    means = mean_grade_table(grades, "language", "model", scale=graded.scale)
    models = _unique(grades, "model")
    plot, rows = [], []
    for label in _unique(grades, "language"):
        dots = []
        for row in means.filter(pl.col("language") == label).iter_rows(named=True):
            rows.append([language_cell_of(label), row["model"], *_cells(row)])
            if row["mean"] is not None and math.isfinite(row["upper"]):
                series = models.index(row["model"])
                dots.append(Dot(row["mean"], row["lower"], row["upper"], series, row["model"]))
        if dots:
            plot.append((language_of(label), dots))
    head = ["language", "model", *_COLUMNS]
    return section(
        f"By language, {judge}",
        legend(models) if plot and len(models) > 1 else "",
        tag("figure", dot_plot(plot, "mean grade")) if plot else "",
        table(head, rows, numbers=range(2, len(head))),
    )


def _by_group(graded: Graded, column: str, title: str) -> Html:
    groups = {name for name in _unique(graded.grades, column) if name}
    if not groups or len(groups) > _MOST_GROUPS:
        return Html("")
    rows = [
        [row[column] or "not stated", row["model"], row["judge"], *_cells(row)]
        for row in _means(graded, column, "model", "judge").iter_rows(named=True)
    ]
    head = [column, "model", "judge", *_COLUMNS]
    return section(title, table(head, rows, numbers=range(3, len(head))))


def _cells(row: Mapping[str, Any]) -> list[str]:
    spread = DASH if row["spread"] is None else f"{row['spread']:.2f}"
    return [f"{row['grades']:,}", _mean(row), _interval(row), spread, percent(row["invalid"])]


def _mean(row: Mapping[str, Any]) -> str:
    return DASH if row["mean"] is None else f"{row['mean']:.2f}"


def _interval(row: Mapping[str, Any]) -> str:
    return interval(row["lower"], row["upper"], ".2f", "too few prompts")
