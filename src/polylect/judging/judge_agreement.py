"""How far judges agree beyond chance: Cohen's kappa, Krippendorff's alpha, nominal and ordinal."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from polylect.rows import Verdict
from polylect.stats import cohen_kappa, krippendorff_alpha

_ORDER = tuple(str(one) for one in (Verdict.A, Verdict.TIE, Verdict.B))


def agreement(found: pl.DataFrame, *columns: str, beside: Sequence[str] = ()) -> pl.DataFrame:
    """Agreement of all judges per group of ``columns``, of ``outcomes``; INVALID is no verdict.

    Args:
        found: the outcomes.
        columns: the groups.
        beside: names of judges that are compared with every other and are not among ``all``.

    Returns:
        the columns, judges (pairs of them, or ``all``), cases (judged by both, or by two or more),
        equal (share of cases with the same verdict; for ``all``, of pairs of verdicts), ``kappa``
        (for ``all`` Krippendorff's alpha), and ``ordinal``: Krippendorff's alpha when a tie lies
        between the two models.
    """
    judges = found["judge"].unique(maintain_order=True).to_list()
    valid = found.filter(pl.col("value").is_not_null())
    rows = []
    for key, part in valid.group_by(*columns, maintain_order=True) if columns else [((), valid)]:
        named = dict(zip(columns, key, strict=True))
        by_case: dict[tuple[str, str, int], dict[str, str]] = {}
        for judge, id_, language, sample, verdict in part.select(
            "judge", "id", "language", "sample", "verdict"
        ).iter_rows():
            by_case.setdefault((id_, language, sample), {})[judge] = verdict
        for i, one in enumerate(judges):
            for other in judges[i + 1 :]:
                both = [(c[one], c[other]) for c in by_case.values() if one in c and other in c]
                equal = sum(x == y for x, y in both) / len(both) if both else None
                value = cohen_kappa([x for x, _ in both], [y for _, y in both])
                rows.append(named | _row(f"{one} · {other}", both, equal, value))
        counted = [one for one in judges if one not in beside]
        if len(counted) > 2:
            own = [[v for k, v in case.items() if k in counted] for case in by_case.values()]
            shared = [case for case in own if len(case) > 1]
            alike = [x == y for case in shared for k, x in enumerate(case) for y in case[k + 1 :]]
            equal = sum(alike) / len(alike) if alike else None
            rows.append(named | _row("all", shared, equal, krippendorff_alpha(shared)))
    schema = {
        **{name: found.schema[name] for name in columns},
        "judges": pl.String(), "cases": pl.Int64(), "equal": pl.Float64(), "kappa": pl.Float64(),
        "ordinal": pl.Float64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _row(
    judges: str, cases: Sequence[Sequence[str]], equal: float | None, value: float
) -> dict[str, object]:
    return {
        "judges": judges,
        "cases": len(cases),
        "equal": equal,
        "kappa": _known(value),
        "ordinal": _known(krippendorff_alpha(cases, _ORDER)),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
