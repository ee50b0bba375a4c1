"""How far judges agree beyond chance, on verdicts and on grades."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import polars as pl

from polylect.rows import Verdict
from polylect.stats import cohen_kappa, krippendorff_alpha, weighted_kappa

_ORDER = (str(Verdict.A), str(Verdict.TIE), str(Verdict.B))
_Cases = list[list[Any]]
"""Labels of each case, one per judge."""


@dataclass(frozen=True)
class _Measures:
    """How agreement on a kind of label is measured.

    Attributes:
        kappa: of two judges' labels.
        kappa_of_all: of all judges' labels by case.
        order: all labels from lowest to highest.
    """

    kappa: Callable[[list[Any], list[Any]], float]
    kappa_of_all: Callable[[_Cases], float]
    order: Callable[[_Cases], Sequence[Any]]


_VERDICTS = _Measures(cohen_kappa, krippendorff_alpha, lambda _: _ORDER)
_GRADES = _Measures(
    weighted_kappa,
    lambda _: math.nan,
    lambda cases: sorted({score for case in cases for score in case}),
)


def verdict_agreement(
    outcomes: pl.DataFrame, *columns: str, beside: Sequence[str] = ()
) -> pl.DataFrame:
    """Agreement of judges per group of ``columns``; INVALID outcomes are left out.

    Args:
        outcomes: of ``outcome_table``.
        columns: the groups.
        beside: judges that are compared with every other but do not count in ``all``.

    Returns:
        the columns, judges (pairs of them, or ``all`` if there are three or more), cases (judged
        by both, or by two or more), equal (share of cases with the same verdict; for ``all``, of
        pairs of verdicts), ``kappa`` (Cohen's; for ``all`` Krippendorff's nominal alpha), and
        ``ordinal`` (Krippendorff's alpha with a tie between the two models). Null where chance
        alone agrees always.
    """
    labels = outcomes.with_columns(label=pl.when(pl.col("value").is_not_null()).then("verdict"))
    return _agreement(labels, columns, ("id", "language", "sample"), beside, _VERDICTS)


def grade_agreement(grades: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Agreement of judges per group of ``columns``; INVALID grades are left out.

    Args:
        grades: of ``grade_table``.
        columns: the groups.

    Returns:
        as ``verdict_agreement``; kappa has quadratic weights and is null for ``all``, and the
        order is that of the scores.
    """
    labels = grades.with_columns(label=pl.col("score"))
    return _agreement(labels, columns, ("model", "id", "language", "sample"), (), _GRADES)


def _agreement(
    labels: pl.DataFrame,
    columns: Sequence[str],
    case: Sequence[str],
    beside: Sequence[str],
    measures: _Measures,
) -> pl.DataFrame:
    """The table of agreement on ``label``, which is null where it does not count."""
    judges = labels["judge"].unique(maintain_order=True).to_list()
    in_all = [judge for judge in judges if judge not in beside]
    valid = labels.filter(pl.col("label").is_not_null())
    rows: list[dict[str, object]] = []
    for key, group in valid.group_by(*columns, maintain_order=True) if columns else [((), valid)]:
        by_case: dict[tuple[object, ...], dict[str, Any]] = {}
        for judge, label, *of_case in group.select("judge", "label", *case).iter_rows():
            by_case.setdefault(tuple(of_case), {})[judge] = label
        group_rows = []
        for first, second in combinations(judges, 2):
            shared = [
                [given[first], given[second]]
                for given in by_case.values()
                if first in given and second in given
            ]
            kappa = measures.kappa([x for x, _ in shared], [y for _, y in shared])
            group_rows.append(_row(f"{first} · {second}", shared, kappa, measures))
        if len(in_all) > 2:
            shared = [
                [label for judge, label in given.items() if judge in in_all]
                for given in by_case.values()
            ]
            shared = [case_labels for case_labels in shared if len(case_labels) > 1]
            group_rows.append(_row("all", shared, measures.kappa_of_all(shared), measures))
        rows += [dict(zip(columns, key, strict=True)) | row for row in group_rows]
    schema = {
        **{name: labels.schema[name] for name in columns},
        "judges": pl.String(), "cases": pl.Int64(), "equal": pl.Float64(), "kappa": pl.Float64(),
        "ordinal": pl.Float64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _row(judges: str, cases: _Cases, kappa: float, measures: _Measures) -> dict[str, object]:
    equal = [x == y for case in cases for x, y in combinations(case, 2)]
    order = measures.order(cases)
    ordinal = krippendorff_alpha(cases, order) if order else math.nan
    return {
        "judges": judges,
        "cases": len(cases),
        "equal": sum(equal) / len(equal) if equal else None,
        "kappa": None if math.isnan(kappa) else kappa,
        "ordinal": None if math.isnan(ordinal) else ordinal,
    }
