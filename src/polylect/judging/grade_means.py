"""Mean grades with intervals by prompt, and how far graders agree beyond chance."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from polylect.rows import Grade
from polylect.stats import cluster_interval, krippendorff_alpha, weighted_kappa

LEVEL = 0.95
_SCHEMA: dict[str, pl.DataType] = {
    "model": pl.String(), "judge": pl.String(), "id": pl.String(), "language": pl.String(),
    "sample": pl.Int64(), "category": pl.String(), "origin": pl.String(), "rubric": pl.String(),
    "score": pl.Float64(),
}  # fmt: skip


def grade_table(grades: Iterable[Grade]) -> pl.DataFrame:
    """A row per grade: model, judge, id, language, sample, category, origin, rubric, and score
    (null for INVALID).
    """
    return pl.DataFrame([{name: getattr(one, name) for name in _SCHEMA} for one in grades], _SCHEMA)


def mean_grades(found: pl.DataFrame, *columns: str, level: float = LEVEL) -> pl.DataFrame:
    """Mean scores per group of ``columns``, of ``grade_table``; INVALID is never averaged.

    Returns:
        the columns, then grades, invalid (a share of them), mean with lower and upper (Student's t
        over prompts; null for no valid grade), spread (standard deviation of the scores), and
        num_prompts.
    """
    table = found.group_by(*columns, maintain_order=True).agg(
        grades=pl.len(), invalid=pl.col("score").is_null().mean(), spread=pl.col("score").std()
    )
    valid = found.filter(pl.col("score").is_not_null()).with_columns(cluster=pl.col("id"))
    bounds = cluster_interval(valid, columns, pl.col("score"), pl.lit(1.0), level).select(
        *columns, "mean", "lower", "upper", num_prompts="num_clusters"
    )
    return table.join(bounds, on=columns, how="left", maintain_order="left")


def agreement_of_grades(found: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Agreement of all judges per group of ``columns``, of ``grade_table``.

    Returns:
        the columns, judges (pairs of them, or ``all``), cases (graded by both, or by two or more),
        equal (share of pairs of grades that are the same), kappa (Cohen's with quadratic weights,
        of pairs) and ordinal (Krippendorff's alpha). Null where chance alone agrees always.
    """
    judges = found["judge"].unique(maintain_order=True).to_list()
    valid = found.filter(pl.col("score").is_not_null())
    rows = []
    for key, part in valid.group_by(*columns, maintain_order=True) if columns else [((), valid)]:
        named = dict(zip(columns, key, strict=True))
        cases: dict[tuple[str, ...], dict[str, float]] = {}
        for judge, score, *case in part.select(
            "judge", "score", "model", "id", "language", "sample"
        ).iter_rows():
            cases.setdefault(tuple(case), {})[judge] = score
        for i, one in enumerate(judges):
            for other in judges[i + 1 :]:
                both = [(c[one], c[other]) for c in cases.values() if one in c and other in c]
                rows.append(
                    named
                    | _row(
                        f"{one} · {other}",
                        both,
                        weighted_kappa([x for x, _ in both], [y for _, y in both]),
                    )
                )
        if len(judges) > 2:
            shared = [tuple(own.values()) for own in cases.values() if len(own) > 1]
            rows.append(named | _row("all", shared, float("nan")))
    schema = {
        **{name: found.schema[name] for name in columns},
        "judges": pl.String(), "cases": pl.Int64(), "equal": pl.Float64(), "kappa": pl.Float64(),
        "ordinal": pl.Float64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _row(judges: str, cases: Sequence[tuple[float, ...]], kappa: float) -> dict[str, object]:
    alike = [x == y for case in cases for k, x in enumerate(case) for y in case[k + 1 :]]
    order = sorted({value for case in cases for value in case})
    ordinal = krippendorff_alpha(cases, order) if order else float("nan")
    return {
        "judges": judges,
        "cases": len(cases),
        "equal": sum(alike) / len(alike) if alike else None,
        "kappa": None if np.isnan(kappa) else kappa,
        "ordinal": None if np.isnan(ordinal) else ordinal,
    }
