"""Mean grades with intervals over prompts."""

from collections.abc import Iterable

import polars as pl

from polylect.rows import Grade
from polylect.stats import share_interval

_SCHEMA: dict[str, pl.DataType] = {
    "model": pl.String(), "judge": pl.String(), "id": pl.String(), "language": pl.String(),
    "sample": pl.Int64(), "category": pl.String(), "origin": pl.String(), "rubric": pl.String(),
    "score": pl.Float64(),
}  # fmt: skip


def grade_table(grades: Iterable[Grade]) -> pl.DataFrame:
    """A row per grade: model, judge, id, language, sample, category, origin, rubric, and score.

    The score is null if the grade is INVALID.
    """
    rows = [{name: getattr(grade, name) for name in _SCHEMA} for grade in grades]
    return pl.DataFrame(rows, _SCHEMA)


def mean_grade_table(
    grades: pl.DataFrame, *columns: str, scale: tuple[float, float], level: float = 0.95
) -> pl.DataFrame:
    """Mean scores per group of ``columns``; INVALID is never averaged.

    Args:
        grades: of ``grade_table``.
        columns: the groups.
        scale: lowest and highest score.
        level: of the intervals.

    Returns:
        the columns, then grades, invalid (a share of them), mean with lower and upper (over
        prompts, inside the scale; null without a valid grade), spread (standard deviation of the
        scores), and num_prompts.
    """
    table = grades.group_by(*columns, maintain_order=True).agg(
        grades=pl.len(), invalid=pl.col("score").is_null().mean(), spread=pl.col("score").std()
    )
    valid = grades.filter(pl.col("score").is_not_null()).with_columns(cluster=pl.col("id"))
    bounds = share_interval(valid, columns, pl.col("score"), level=level, scale=scale).select(
        *columns, "mean", "lower", "upper", num_prompts="num_clusters"
    )
    return table.join(bounds, on=columns, how="left", maintain_order="left")
