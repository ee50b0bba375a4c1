"""Cells of a comparison: a metric of a task in a language, on the items that both models have."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger
from polylect.comparison.metrics import Metrics, has_ratio
from polylect.rows import ScoreTable, metric_range, possible_values
from polylect.stats import holm, mcnemar_exact, share_interval, student_half_width

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CELL = ("metric", "task", "language")

_MIN_CHANGED = 3
"""The standard error of a share is at least that of so many changed items: where fewer changed,
what was seen says too little of what might have been."""


@dataclass(frozen=True)
class Cells:
    """All cells, and the influence of every cluster of items on each.

    Attributes:
        table: a row per cell, sorted by metric, task, language: those, before, after, gain,
            relative, chance, near_chance, at_chance (neither model's interval lies above chance),
            items, clusters, unmatched, truncated, worse, better, p, p_holm; and, not shown: span
            (of the metric's scale, null if it has none), separable (the baseline from 0, so that a
            relative change has an interval).
        gain_influence: of each cluster on the gain, sparse [clusters, cells].
        relative_influence: of each cluster on the relative change, sparse [clusters, cells].
        floor: standard error added to a cell's gain, in quadrature [cells].
    """

    table: pl.DataFrame
    gain_influence: "csr_matrix"
    relative_influence: "csr_matrix"
    floor: np.ndarray


def pair_items(
    before: ScoreTable,
    after: ScoreTable,
    metrics: Metrics,
    *,
    allow_other_settings: bool,
    ledger: Ledger,
) -> pl.DataFrame:
    """Items of the selected metrics with the values of both models.

    Column ``both`` says whether an item can be compared; the others are those of
    ``ScoreTable.joined``. What is left out is counted in the ledger.

    Raises:
        InputError: as ``ScoreTable.paired``; or no task has a metric that was named.
    """
    tables = (before, after)
    metrics_before, metrics_after = map(_metrics_by_task, tables)
    shared = {
        task: names & metrics_after[task]
        for task, names in metrics_before.items()
        if task in metrics_after
    }
    if not shared:
        raise InputError(
            "the two tables share no item: they have no task in common"
            f" ({', '.join([*metrics_before][:3])} against {', '.join([*metrics_after][:3])})",
            "score both on the same tasks and items",
        )
    metrics.check_names(sorted(set().union(*shared.values())))
    selected = pl.DataFrame(
        [(task, name) for task, names in shared.items() for name in metrics.select(task, names)],
        {"task": pl.String(), "metric": pl.String()},
        orient="row",
    )
    for side, table in zip(("before", "after"), tables, strict=True):
        for task in sorted(set(table.frame["task"].unique()) - set(selected["task"])):
            num = table.frame.filter(pl.col("task") == task)["item"].n_unique()
            ledger.count(
                f"left out: the task is not in both, or lacks the metric ({side})", num, task
            )
    kept = [
        ScoreTable(table.frame.join(selected, on=["task", "metric"], how="semi"))
        for table in tables
    ]
    joined = kept[0].joined(kept[1], allow_other_settings=allow_other_settings)
    _count(joined, ledger)
    return joined


def _metrics_by_task(table: ScoreTable) -> dict[str, set[str]]:
    by_task: dict[str, set[str]] = {}
    for task, metric in table.frame.select("task", "metric").unique().sort("task", "metric").rows():
        by_task.setdefault(task, set()).add(metric)
    return by_task


def _count(joined: pl.DataFrame, ledger: Ledger) -> None:
    """Count what is unmatched, invalid or truncated, by language."""
    in_before, in_after = (
        pl.col("checkpoint").is_not_null(),
        pl.col("checkpoint_right").is_not_null(),
    )
    events = {"unmatched: only before": ~in_after, "unmatched: only after": ~in_before}
    for side, suffix in (("before", ""), ("after", "_right")):
        invalid = pl.col(f"invalid{suffix}") | ~pl.col(f"value{suffix}").is_finite()
        events[f"invalid: {side}"] = in_before & in_after & invalid.fill_null(value=True)
        events[f"truncated: {side}"] = pl.col("both") & pl.col(f"truncated{suffix}")
    for event, condition in events.items():
        for language, num in joined.filter(condition).group_by("language").len().rows():
            ledger.count(event, num, language)


def build_cells(joined: pl.DataFrame, metrics: Metrics, level: float) -> Cells:
    """The cells of paired items.

    Args:
        joined: what ``pair_items`` returned.
        metrics: directions of the metrics.
        level: of both models' own intervals, which decide ``near_chance`` and ``at_chance``.
    """
    from scipy.sparse import csr_matrix

    names = joined.select(CELL).unique().sort(CELL).with_row_index("cell")
    size = len(names)
    signs = np.array([metrics.sign(metric) for metric in names["metric"]])
    rows = joined.join(names, on=CELL)
    matched = rows.filter(pl.col("both")).with_columns(
        change=pl.col("value_right") - pl.col("value")
    )
    _check_possible(matched)
    counts = _counts(rows, matched, names, signs)
    sums = _cluster_sums(matched)
    cell = sums["cell"].to_numpy()
    cluster = sums["cluster"].rank("dense").to_numpy().astype(np.int64) - 1
    weight, before, after = (sums[name].to_numpy() for name in ("weight", "before", "after"))
    total, total_before, total_after = (
        np.bincount(cell, values, size) for values in (weight, before, after)
    )
    empty = total == 0
    divisor = np.where(empty, 1.0, total)
    mean_before, mean_after = total_before / divisor, total_after / divisor
    num = np.bincount(cell, minlength=size)
    correction = np.sqrt(num / np.maximum(num - 1, 1))[cell]
    influence_before = correction * (before - mean_before[cell] * weight) / divisor[cell]
    influence_after = correction * (after - mean_after[cell] * weight) / divisor[cell]

    has_relative = (
        np.array([has_ratio(metric) for metric in names["metric"]]) & (mean_before > 0) & ~empty
    )
    base = np.where(has_relative, mean_before, 1.0)
    relative = np.where(has_relative, mean_after / base - 1.0, np.nan)
    relative_influence = np.where(
        has_relative[cell],
        (influence_after - (mean_after / base)[cell] * influence_before) / base[cell],
        0.0,
    )
    binary = counts["binary"].to_numpy()
    span = counts["span"].to_numpy()
    few = (counts["worse"] + counts["better"]).to_numpy() < _MIN_CHANGED
    least = np.where(
        binary | (few & ~np.isnan(span)),
        _MIN_CHANGED * np.nan_to_num(span, nan=1.0) ** 2
        / np.maximum(counts["items"].to_numpy(), 1) ** 2,
        0.0,
    )  # fmt: skip
    variance, variance_before, variance_after = (
        np.bincount(cell, influence**2, size)
        for influence in (influence_after - influence_before, influence_before, influence_after)
    )
    floor = np.sqrt(np.maximum(least - variance, 0.0))
    lower_ends = [
        _lower_end(mean, np.maximum(own_variance, least), num, level)
        for mean, own_variance in ((mean_before, variance_before), (mean_after, variance_after))
    ]
    separable = has_relative & (lower_ends[0] > 0)
    lower, lower_after = (
        np.where(np.isnan(shares), end, shares)
        for end, shares in zip(
            lower_ends,
            (_share_lower(matched, counts, level, name) for name in ("value", "value_right")),
            strict=True,
        )
    )
    chance = counts["chance"].to_numpy()
    p = np.where(
        binary & ~empty,
        mcnemar_exact(counts["worse"].to_numpy(), counts["better"].to_numpy()),
        np.nan,
    )
    table = names.select(CELL).with_columns(
        before=_masked(mean_before, empty),
        after=_masked(mean_after, empty),
        gain=_masked(signs * (mean_after - mean_before), empty),
        relative=_masked(relative, ~has_relative),
        chance=_masked(chance, np.isnan(chance)),
        near_chance=_masked(lower <= chance, np.isnan(chance) | empty),
        at_chance=_masked((lower <= chance) & (lower_after <= chance), np.isnan(chance) | empty),
        items=counts["items"],
        clusters=pl.Series(num.astype(np.int64)),
        unmatched=counts["unmatched"],
        truncated=counts["truncated"],
        worse=counts["worse"],
        better=counts["better"],
        p=_masked(p, np.isnan(p)),
        p_holm=_masked(holm(p), np.isnan(p)),
        span=_masked(span, np.isnan(span)),
        separable=pl.Series(separable),
        lower_is_better=pl.Series(signs < 0),
    )
    gain_influence = signs[cell] * (influence_after - influence_before)
    shape = (int(cluster.max()) + 1, size)
    return Cells(
        table,
        csr_matrix((gain_influence, (cluster, cell)), shape=shape),
        csr_matrix((relative_influence, (cluster, cell)), shape=shape),
        floor,
    )


def _check_possible(matched: pl.DataFrame) -> None:
    """Refuse a value that its metric cannot have, such as an accuracy of 45.

    Raises:
        InputError: names task, language, item, metric and value.
    """
    for (metric,), part in matched.group_by("metric", maintain_order=True):
        low, high = possible_values(str(metric))
        for column in ("value", "value_right"):
            wrong = part.filter((pl.col(column) < low) | (pl.col(column) > high))
            if wrong.height:
                row = wrong.row(0, named=True)
                wanted = f"from {low:g} to {high:g}" if isfinite(high) else f"{low:g} or more"
                raise InputError(
                    f"{row['task']}, {row['language']}, item {row['item']}: {metric} is"
                    f" {row[column]:g}, and can only be {wanted}",
                    "rename the metric, or divide percentages by 100",
                )


def _lower_end(mean: np.ndarray, variance: np.ndarray, num: np.ndarray, level: float) -> np.ndarray:
    """Lower ends of a model's own interval by Student's t [cells]."""
    error = np.sqrt(variance)
    # A model that scores the same on all items is not uncertain beside 0.
    return mean - np.where((error == 0) & (num > 1), 0.0, student_half_width(error, num, level))


def _share_lower(
    matched: pl.DataFrame, counts: pl.DataFrame, level: float, column: str
) -> np.ndarray:
    """Lower ends of a model's interval where its metric has a scale; NaN elsewhere [cells]."""
    scaled = matched.join(
        counts.select("cell", "low", "span").filter(pl.col("span").is_not_nan()), on="cell"
    )
    share = (pl.col(column) - pl.col("low")) / pl.col("span")
    bounds = share_interval(scaled, ["cell"], share, pl.col("weight"), level)
    rows = counts.select("cell", "low", "span").join(bounds, on="cell", how="left").sort("cell")
    ends = rows.select(pl.col("low") + pl.col("span") * pl.col("lower")).to_series()
    return ends.fill_null(float("nan")).to_numpy()


def _counts(
    rows: pl.DataFrame, matched: pl.DataFrame, names: pl.DataFrame, signs: np.ndarray
) -> pl.DataFrame:
    """Per cell: items, unmatched, truncated, worse, better, chance, binary, low and span.

    NaN for an unknown chance, and for the lowest value and the span of a metric's scale where it
    has none, or a value is off it.
    """
    matches = pl.col("both")
    truncated = matches & (pl.col("truncated") | pl.col("truncated_right"))
    all_items = rows.group_by("cell").agg(
        items=matches.sum().cast(pl.Int64),
        unmatched=(~matches).sum().cast(pl.Int64),
        truncated=truncated.sum().cast(pl.Int64),
    )
    gain = pl.col("change") * pl.col("sign")
    is_binary = [pl.col(value).is_in([0.0, 1.0]).all() for value in ("value", "value_right")]
    of_matched = (
        matched.join(names.select("cell").with_columns(sign=pl.Series(signs)), on="cell")
        .group_by("cell")
        .agg(
            worse=(gain < 0).sum().cast(pl.Int64),
            better=(gain > 0).sum().cast(pl.Int64),
            chance=pl.when(pl.col("chance").null_count() == 0).then(pl.col("chance").sort().mean()),
            binary=pl.all_horizontal(*is_binary, pl.col("weight").n_unique() == 1),
            least=pl.min_horizontal(pl.col("value", "value_right").min()),
            most=pl.max_horizontal(pl.col("value", "value_right").max()),
        )
    )
    ranges = [metric_range(metric) or (nan, nan) for metric in names["metric"]]
    scales = names.select(
        "cell", low=pl.Series([low for low, _ in ranges], dtype=pl.Float64),
        high=pl.Series([high for _, high in ranges], dtype=pl.Float64),
    )  # fmt: skip
    on_scale = (pl.col("least") >= pl.col("low")) & (pl.col("most") <= pl.col("high"))
    return (
        all_items.join(of_matched, on="cell", how="left")
        .join(scales, on="cell", how="left")
        .sort("cell")
        .with_columns(span=pl.when(on_scale).then(pl.col("high") - pl.col("low")))
        .with_columns(
            pl.col("worse", "better").fill_null(0),
            pl.col("binary").fill_null(value=False),
            pl.col("chance", "low", "span").fill_null(nan),
        )
    )


def _cluster_sums(matched: pl.DataFrame) -> pl.DataFrame:
    """Sums per cell and cluster: weight, and the weighted values before and after."""
    weighted = matched.select(
        "cell",
        "cluster",
        "weight",
        before=pl.col("value") * pl.col("weight"),
        after=pl.col("value_right") * pl.col("weight"),
    )
    # Sums depend on the order of rows; sorted, so that equal rows give equal bytes.
    return (
        weighted.sort("cell", "cluster", "before", "after", "weight")
        .group_by("cell", "cluster", maintain_order=True)
        .agg(pl.col("weight", "before", "after").sum())
    )


def _masked(values: np.ndarray, hidden: Sequence[bool] | np.ndarray) -> pl.Series:
    """The values, null where hidden."""
    shown = ~pl.Series(np.asarray(hidden, bool))
    return pl.select(pl.when(shown).then(pl.Series(values))).to_series()
