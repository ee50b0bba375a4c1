"""Cells of a comparison: a metric of a task in a language, on the items that both sides have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger
from polylect.comparison.metrics import Metrics, has_ratio
from polylect.rows import ScoreTable
from polylect.stats import holm, mcnemar_exact, student_half_width

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CELL = ("metric", "task", "language")

_LEAST_CHANGED = 3
"""The spread of a share is never taken to be below that of this many changed items: where fewer
changed, what was seen says too little of what might have."""


@dataclass(frozen=True)
class Cells:
    """All cells, with what every cluster of items adds to each.

    Attributes:
        table: a row per cell in order of metric, task, language: those, before, after, gain,
            relative, chance, near_chance, items, clusters, unmatched, truncated, worse, better,
            p, p_holm.
        gain_pulls: of each cluster on the gain, sparse [clusters, cells].
        relative_pulls: of each cluster on the relative change, sparse [clusters, cells].
        floor: standard error that is added to a cell's gain, in quadrature [cells].
    """

    table: pl.DataFrame
    gain_pulls: "csr_matrix"
    relative_pulls: "csr_matrix"
    floor: np.ndarray


def pair(
    before: ScoreTable,
    after: ScoreTable,
    metrics: Metrics,
    *,
    allow_other_settings: bool,
    ledger: Ledger,
) -> pl.DataFrame:
    """Every item of the chosen metrics with both sides; ``both`` where it can be compared.

    Columns are those of ``ScoreTable.joined``. What is left out is counted in the ledger.

    Raises:
        InputError: as ``ScoreTable.paired``; or a metric that nobody has.
    """
    sides = (before, after)
    tasks = [_metrics_by_task(one) for one in sides]
    shared = {task: tasks[0][task] & tasks[1][task] for task in tasks[0] if task in tasks[1]}
    if not shared:
        raise InputError(
            "the two tables share no item: they have no task in common"
            f" ({', '.join(list(tasks[0])[:3])} against {', '.join(list(tasks[1])[:3])})",
            "score both on the same tasks and items",
        )
    metrics.check_asked(sorted(set().union(*shared.values())))
    chosen = [
        (task, metric)
        for task, present in shared.items()
        for metric in metrics.chosen(task, present)
    ]
    wanted = pl.DataFrame(chosen, {"task": pl.String(), "metric": pl.String()}, orient="row")
    for name, one in zip(("before", "after"), sides, strict=True):
        for task in sorted(set(one.frame["task"].unique()) - set(wanted["task"])):
            num = one.frame.filter(pl.col("task") == task)["item"].n_unique()
            ledger.count(
                f"left out: the task is not in both, or lacks the metric ({name})", num, task
            )
    kept = [ScoreTable(one.frame.join(wanted, on=["task", "metric"], how="semi")) for one in sides]
    joined = kept[0].joined(kept[1], allow_other_settings=allow_other_settings)
    _count(joined, ledger)
    return joined


def _metrics_by_task(table: ScoreTable) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for task, metric in table.frame.select("task", "metric").unique().sort("task", "metric").rows():
        found.setdefault(task, set()).add(metric)
    return found


def _count(joined: pl.DataFrame, ledger: Ledger) -> None:
    """Count what is unmatched, invalid or truncated, by language."""
    only = {"only before": "checkpoint_right", "only after": "checkpoint"}
    events = {f"unmatched: {name}": pl.col(column).is_null() for name, column in only.items()}
    there = pl.all_horizontal(pl.col(one).is_not_null() for one in only.values())
    for name, side in (("before", ""), ("after", "_right")):
        broken = pl.col(f"invalid{side}") | ~pl.col(f"value{side}").is_finite()
        events[f"invalid: {name}"] = there & broken.fill_null(value=True)
        events[f"truncated: {name}"] = pl.col("both") & pl.col(f"truncated{side}")
    for event, what in events.items():
        for language, num in joined.filter(what).group_by("language").len().rows():
            ledger.count(event, num, language)


def build_cells(joined: pl.DataFrame, metrics: Metrics, level: float) -> Cells:
    """The cells of paired items.

    Args:
        joined: what ``pair`` gave.
        metrics: directions.
        level: of the baseline's own interval, which says whether it is near chance.
    """
    from scipy.sparse import csr_matrix

    names = joined.select(CELL).unique().sort(CELL).with_row_index("cell")
    signs = np.array([metrics.sign(one) for one in names["metric"]])
    rows = joined.join(names, on=CELL)
    matched = rows.filter(pl.col("both")).with_columns(
        change=pl.col("value_right") - pl.col("value")
    )
    counted = _counts(rows, matched, names, signs)
    parts = _cluster_sums(matched)
    cell = parts["cell"].to_numpy()
    row = parts["cluster"].rank("dense").to_numpy().astype(np.int64) - 1
    weight, old, new = (parts[name].to_numpy() for name in ("weight", "old", "new"))
    size = len(names)
    whole, total_old, total_new = (np.bincount(cell, one, size) for one in (weight, old, new))
    safe = np.where(whole > 0, whole, 1.0)
    mean_old, mean_new = total_old / safe, total_new / safe
    num = np.bincount(cell, minlength=size)
    few = np.sqrt(num / np.maximum(num - 1, 1))[cell]
    pull_old = few * (old - mean_old[cell] * weight) / safe[cell]
    pull_new = few * (new - mean_new[cell] * weight) / safe[cell]

    ratio = np.array([has_ratio(one) for one in names["metric"]])
    rated = ratio & (mean_old > 0) & (whole > 0)
    base = np.where(rated, mean_old, 1.0)
    relative = np.where(rated, mean_new / base - 1.0, np.nan)
    pull_relative = np.where(
        rated[cell], (pull_new - (mean_new / base)[cell] * pull_old) / base[cell], 0.0
    )
    shape = (int(row.max()) + 1, size)
    binary = counted["binary"].to_numpy()
    least = np.where(binary, _LEAST_CHANGED / np.maximum(counted["items"].to_numpy(), 1) ** 2, 0.0)
    seen, base_seen = (np.bincount(cell, one**2, size) for one in (pull_new - pull_old, pull_old))
    floor = np.sqrt(np.maximum(least - seen, 0.0))
    lower = mean_old - student_half_width(np.sqrt(np.maximum(base_seen, least)), num, level)
    chance = counted["chance"].to_numpy()
    p = np.where(
        binary & (whole > 0),
        mcnemar_exact(counted["worse"].to_numpy(), counted["better"].to_numpy()),
        np.nan,
    )
    none = whole == 0
    table = names.select(CELL).with_columns(
        before=_masked(mean_old, none),
        after=_masked(mean_new, none),
        gain=_masked(signs * (mean_new - mean_old), none),
        relative=_masked(relative, ~rated),
        chance=_masked(chance, np.isnan(chance)),
        near_chance=_masked(lower <= chance, np.isnan(chance) | none),
        items=counted["items"],
        clusters=pl.Series(num.astype(np.int64)),
        unmatched=counted["unmatched"],
        truncated=counted["truncated"],
        worse=counted["worse"],
        better=counted["better"],
        p=_masked(p, np.isnan(p)),
        p_holm=_masked(holm(p), np.isnan(p)),
    )
    return Cells(
        table,
        csr_matrix((signs[cell] * (pull_new - pull_old), (row, cell)), shape=shape),
        csr_matrix((pull_relative, (row, cell)), shape=shape),
        floor,
    )


def _counts(
    rows: pl.DataFrame, matched: pl.DataFrame, names: pl.DataFrame, signs: np.ndarray
) -> pl.DataFrame:
    """Per cell: items, unmatched, truncated, worse, better, chance (NaN if unknown), binary."""
    both = pl.col("both")
    truncated = both & (pl.col("truncated") | pl.col("truncated_right"))
    counted = rows.group_by("cell").agg(
        items=both.sum().cast(pl.Int64),
        unmatched=(~both).sum().cast(pl.Int64),
        truncated=truncated.sum().cast(pl.Int64),
    )
    gain = pl.col("change") * pl.col("sign")
    values = [pl.col(one).is_in([0.0, 1.0]).all() for one in ("value", "value_right")]
    found = (
        matched.join(names.select("cell").with_columns(sign=pl.Series(signs)), on="cell")
        .group_by("cell")
        .agg(
            worse=(gain < 0).sum().cast(pl.Int64),
            better=(gain > 0).sum().cast(pl.Int64),
            chance=pl.when(pl.col("chance").null_count() == 0).then(pl.col("chance").sort().mean()),
            binary=pl.all_horizontal(*values, pl.col("weight").n_unique() == 1),
        )
    )
    return (
        counted.join(found, on="cell", how="left")
        .sort("cell")
        .with_columns(
            pl.col("worse", "better").fill_null(0),
            pl.col("binary").fill_null(value=False),
            pl.col("chance").fill_null(float("nan")),
        )
    )


def _cluster_sums(matched: pl.DataFrame) -> pl.DataFrame:
    """Per cell and cluster: sums of weight and of both weighted values, in a fixed order."""
    parts = matched.select(
        "cell",
        "cluster",
        "weight",
        old=pl.col("value") * pl.col("weight"),
        new=pl.col("value_right") * pl.col("weight"),
    )
    # Sums follow the order of rows; sorted, so that equal rows give equal bytes.
    return (
        parts.sort("cell", "cluster", "old", "new", "weight")
        .group_by("cell", "cluster", maintain_order=True)
        .agg(pl.col("weight", "old", "new").sum())
    )


def _masked(values: np.ndarray, hide: Sequence[bool] | np.ndarray) -> pl.Series:
    """The values, null where hidden."""
    hidden = pl.Series(np.asarray(hide, bool))
    return pl.select(pl.when(~hidden).then(pl.Series(values))).to_series()
