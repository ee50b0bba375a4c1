"""Verdicts and grades as score tables, so that ``compare`` can compare models by them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylect.judging.rubrics import Rubric
from polylect.rows import Grade, ScoreTable


def win_rate_scores(outcomes: pl.DataFrame, names: tuple[str, str], preset: str) -> ScoreTable:
    """A row per judge and pair: 1 if the second model won, 0.5 for a tie, 0 if it lost.

    Two models that were judged against the same baseline are compared by two such tables.

    Args:
        outcomes: of ``outcome_table``.
        names: baseline and model.
        preset: label of the protocol.
    """
    fixed = {
        "checkpoint": names[1],
        "task": f"against_{names[0]}_by_{preset}",
        "chance": 0.5,
        "settings": f"baseline={names[0]} preset={preset}",
    }
    return ScoreTable.from_rows(
        [
            fixed | _row(row, f"win_rate[{row['judge']}]", row["value"], invalid_value=0.5)
            for row in outcomes.iter_rows(named=True)
        ]
    )


def grade_scores(grades: Sequence[Grade], rubric: Rubric) -> ScoreTable:
    """A row per grade; an invalid one has the lowest score and is marked invalid."""
    fixed = {"task": f"graded_by_{rubric.label}", "settings": f"rubric={rubric.label}"}
    lowest = float(rubric.lowest)
    return ScoreTable.from_rows(
        [
            fixed
            | {"checkpoint": grade.model}
            | _row(
                {name: getattr(grade, name) for name in ("id", "sample", "language", "category")},
                f"grade[{grade.judge}]",
                grade.score,
                invalid_value=lowest,
            )
            for grade in grades
        ]
    )


def _row(
    row: Mapping[str, Any], metric: str, value: float | None, *, invalid_value: float
) -> dict[str, object]:
    """The columns of a score that verdicts and grades share."""
    return {
        "language": row["language"],
        "group": row["category"],
        "item": f"{row['id']}#{row['sample']}" if row["sample"] else row["id"],
        "cluster": row["id"],
        "metric": metric,
        "value": invalid_value if value is None else value,
        "invalid": value is None,
    }
