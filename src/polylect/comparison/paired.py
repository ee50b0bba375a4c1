"""The paired comparison of two score tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polylect.base import Ledger
from polylect.comparison.bounds import (
    above_minus_one,
    change_units,
    count_inseparable,
    half_widths,
    with_bounds,
)
from polylect.comparison.cells import Cells, build_cells, pair_items
from polylect.comparison.language_groups import GIVEN, HALVES, LanguageGroup, groups_of
from polylect.comparison.metrics import Metrics, has_ratio
from polylect.comparison.result import Comparison
from polylect.comparison.verdicts import ranked, verdict, with_chance
from polylect.rows import ScoreTable
from polylect.stats import MIN_CLUSTERS, ClaimFamily, Widths, max_t

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_CELL_COLUMNS = (
    "metric", "task", "language", "before", "after", "difference", "gain", "lower", "upper",
    "change", "change_lower", "change_upper", "unit", "verdict", "relative", "chance",
    "near_chance", "at_chance", "items", "clusters", "unmatched", "truncated", "worse", "better",
    "p", "p_holm", "items_needed", "detectable", "lower_is_better",
)  # fmt: skip
_GROUP_COLUMNS = (
    "metric", "kind", "group", "num_languages", "tasks", "before", "after", "difference", "gain",
    "lower", "upper", "change", "change_lower", "change_upper", "unit", "verdict", "relative",
    "relative_lower", "relative_upper", "near_chance", "at_chance",
    "items", "clusters", "unmatched", "truncated", "worse", "better", "thin", "items_needed",
    "detectable", "lower_is_better",
)  # fmt: skip
_SUMMED = (
    "near_chance", "at_chance", "items", "clusters", "unmatched", "truncated", "worse", "better",
)  # fmt: skip


def compare(
    before: ScoreTable,
    after: ScoreTable,
    *,
    metrics: Metrics | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
    allow_other_settings: bool = False,
) -> Comparison:
    """Paired comparison on the items that both tables have, worst-hurt language first.

    Items are resampled by cluster, with the same draw for all tasks and languages that share it.
    The intervals of a table hold simultaneously (max-t), so that picking out the worst does not
    make it look worse than it is. They are widened for few clusters as Student's t is; for shares
    of which fewer than three items changed, to the standard error of three. The simulations are in
    benchmarks/logs/compare.md. Gains of metrics with a scale have score intervals of the same
    width, which end where the scale does (``stats.score_bounds`` of the gain's place between its
    least and its greatest). A relative change has no interval where a baseline in it is not
    separable from 0.

    Args:
        before: rows of one checkpoint.
        after: rows of another, on the same items.
        metrics: what to compare; by default each task's first known metric.
        groups: groups of languages to average over, languages without scores left out; default: by
            script, family, resource class, and Latin-script Indo-European against the rest.
        level: of the intervals.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.
        allow_other_settings: compare although engine, prompts or settings differ.

    Raises:
        InputError: a table has several checkpoints, no item is shared, a metric is unknown, or the
            settings differ.

    >>> def scores(name, wrong):  # right but for the first items of Hindi
    ...     return ScoreTable.from_rows([
    ...         {"checkpoint": name, "task": "quiz@1", "language": tag, "item": f"{tag}{i}",
    ...          "metric": "acc", "value": float(tag == "de" or i >= wrong)}
    ...         for tag in ("de", "hi") for i in range(50)])
    >>> comparison = compare(scores("base", 0), scores("merged", 20))
    >>> comparison.languages.select("language", "gain", "verdict").rows()
    [('hi', -0.4, 'paid'), ('de', 0.0, 'not separable')]
    >>> comparison.sentence().partition(";")[0]
    'merged against base: 1 of 2 languages paid, most Hindi (-40.0 points, -53.1 to -25.1'
    """
    metrics, ledger = metrics or Metrics(), Ledger()
    joined = pair_items(
        before, after, metrics, allow_other_settings=allow_other_settings, ledger=ledger
    )
    cells = build_cells(joined, metrics, level)
    tags = sorted(cells.table.filter(pl.col("items") > 0)["language"].unique())
    by_language = _claims(cells.table, [LanguageGroup("", tag, (tag,)) for tag in tags])
    by_group = _claims(cells.table, groups_of(tags, groups))
    half_gaps = _half_gaps(by_group, metrics)
    widths = max_t(
        [
            _family(cells, _Claims.of_cells(len(cells.table)), relative=False),
            _family(cells, by_language, relative=False),
            _family(cells, by_group, relative=False),
            _family(cells, by_language, relative=True),
            _family(cells, by_group, relative=True),
            _family(cells, half_gaps, relative=True),
            _family(cells, _Claims.of_cells(len(cells.table)), relative=True),
        ],
        level,
        num_resamples,
        seed,
    )
    units = change_units(cells.table)
    count_inseparable(cells.table, ledger)
    signs = {metric: metrics.sign(metric) for metric in cells.table["metric"].unique()}
    languages = _means(cells, by_language, widths[1], widths[3], units, signs)
    return Comparison(
        before=before.frame["checkpoint"][0],
        after=after.frame["checkpoint"][0],
        cells=ranked(
            with_chance(
                with_bounds(_cell_relatives(cells.table, widths[6]), widths[0], widths[6], units)
            ).select(*_CELL_COLUMNS),
            "task",
            "language",
        ),
        languages=ranked(
            languages.drop("kind", "thin", "num_languages").rename({"group": "language"}),
            "language",
        ),
        groups=_means(cells, by_group, widths[2], widths[4], units, signs),
        gaps=_gaps(cells, half_gaps, widths[5]),
        level=level,
        ledger=ledger,
        settings={
            "num_resamples": num_resamples,
            "seed": seed,
            "other_settings_allowed": allow_other_settings,
        },
    )


@dataclass(frozen=True)
class _Claims:
    """Weighted means of cells.

    Attributes:
        weights: of each cell in each claim, sparse [cells, claims].
        relative_weights: likewise, of the cells that have a relative change.
        rows: names of the claims.
    """

    weights: "csr_matrix"
    relative_weights: "csr_matrix"
    rows: pl.DataFrame

    @classmethod
    def of_cells(cls, num: int) -> "_Claims":
        """A claim for every cell."""
        from scipy.sparse import identity

        weights = identity(num, format="csr")
        return cls(weights, weights, pl.DataFrame())


def _claims(table: pl.DataFrame, groups: Sequence[LanguageGroup]) -> _Claims:
    """A claim per metric and group: the mean over its languages of the mean over their tasks."""
    from scipy.sparse import csr_matrix

    used = table.with_row_index("cell").filter(pl.col("items") > 0)
    members = pl.DataFrame(
        [
            (number, group.kind, group.name, tag)
            for number, group in enumerate(groups)
            for tag in group.members
        ],
        {"number": pl.Int64(), "kind": pl.String(), "group": pl.String(), "language": pl.String()},
        orient="row",
    )
    with_scores = (
        used.select("metric", "language").unique().join(members, on="language")
        .group_by("metric", "number", "kind", "group")
        .agg(num_languages=pl.len().cast(pl.Int64))
    )  # fmt: skip
    # A group that the caller named has a row, even if none of its languages has scores.
    given = [(i, group.kind, group.name) for i, group in enumerate(groups) if group.kind == GIVEN]
    without = (
        used.select("metric").unique()
        .join(pl.DataFrame(given, members.drop("language").schema, orient="row"), how="cross")
        .join(with_scores, on=["metric", "number"], how="anti")
        .with_columns(num_languages=pl.lit(0, pl.Int64()))
    )  # fmt: skip
    rows = pl.concat([with_scores, without]).sort("metric", "number").with_row_index("claim")
    claims = members.join(rows, on="number").select("claim", "metric", "language")
    weights, relative_weights = (
        csr_matrix(_weights(cells.join(claims, on=["metric", "language"])), (len(table), len(rows)))
        for cells in (used, used.filter(pl.col("relative").is_not_null()))
    )
    return _Claims(weights, relative_weights, rows.drop("claim", "number"))


def _weights(members: pl.DataFrame) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Weights with their cells and claims: languages count alike, and so do a language's tasks."""
    tasks = pl.len().over("claim", "language")
    languages = pl.col("language").n_unique().over("claim")
    table = members.select("cell", "claim", weight=1.0 / (tasks * languages)).sort("claim", "cell")
    return table["weight"].to_numpy(), (table["cell"].to_numpy(), table["claim"].to_numpy())


def _half_gaps(groups: _Claims, metrics: Metrics) -> _Claims:
    """A claim per metric: relative change of the second half of the languages less the first's."""
    from scipy.sparse import csr_matrix

    names, columns = [], []
    halves = groups.rows.with_row_index("claim").filter(pl.col("kind") == HALVES)
    for (metric,), pair in halves.group_by("metric", maintain_order=True):
        if len(pair) == 2:
            column = np.zeros(len(groups.rows))
            column[pair["claim"].to_numpy()] = np.array([-1.0, 1.0]) * metrics.sign(str(metric))
            columns.append(column)
            names.append((str(metric), *pair["group"]))
    signs = np.array(columns).reshape(len(names), len(groups.rows)).T
    weights, relative_weights = (
        part @ csr_matrix(signs) for part in (groups.weights, groups.relative_weights)
    )
    rows = pl.DataFrame(names, ["metric", "first", "second"], orient="row")
    return _Claims(weights, relative_weights, rows)


def _family(cells: Cells, claims: _Claims, *, relative: bool) -> ClaimFamily:
    """Influences, clusters and floors of claims on the gain or on the relative change."""
    weights = claims.relative_weights if relative else claims.weights
    influence = cells.relative_influence if relative else cells.gain_influence
    floor = cells.floor
    if relative:
        before = cells.table["before"].fill_null(0.0).to_numpy()
        floor = np.where(before > 0, floor / np.where(before > 0, before, 1.0), 0.0)
    clusters = cells.table["clusters"].to_numpy()
    error = np.sqrt(_column_sums(influence.multiply(influence)))
    # Degrees of freedom of a mean: those of its cells, weighted by their share of the error.
    size = abs(weights)
    part = size.multiply((error + 1e-300)[:, None]).tocsc()
    per_freedom = _column_sums(part.multiply(1.0 / np.maximum(clusters - 1, 1)[:, None]))
    positive = np.where(per_freedom > 0, per_freedom, 1.0)
    joint = 1.0 + np.where(per_freedom > 0, _column_sums(part) / positive, 0.0)
    touched = _column_sums(_pattern(influence) @ (size > 0).astype(float) > 0)
    # A mean may rest on cells of one or two clusters; it stands where it has four in all.
    several = (_column_sums(size > 0) > 1) & (touched >= MIN_CLUSTERS)
    num_clusters = np.where(several, np.maximum(joint, MIN_CLUSTERS), touched)
    variance_floor = weights.multiply(weights).T @ floor**2
    return ClaimFamily(
        (influence @ weights).tocsr(), num_clusters.astype(float), np.sqrt(variance_floor)
    )


def _column_sums(matrix: "csr_matrix") -> np.ndarray:
    return np.asarray(matrix.sum(axis=0)).ravel()


def _pattern(influence: "csr_matrix") -> "csr_matrix":
    """1 wherever a cluster has items in a cell, whether it has influence or not."""
    pattern = influence.copy()
    pattern.data = np.ones_like(pattern.data)
    return pattern


def _cell_relatives(table: pl.DataFrame, widths: Widths) -> pl.DataFrame:
    """The cells with ``relative_lower`` and ``relative_upper``."""
    width = half_widths(widths)
    half = pl.when("separable").then(pl.Series(width)).otherwise(float("inf"))
    return table.with_columns(
        relative_lower=above_minus_one(pl.col("relative") - half),
        relative_upper=pl.col("relative") + half,
    )


def _means(
    cells: Cells,
    claims: _Claims,
    gain: Widths,
    relative: Widths,
    units: Mapping[str, str],
    signs: Mapping[str, int],
) -> pl.DataFrame:
    """Rows of languages or groups: means of their cells, sums of their counts, bounds."""
    table, weights = cells.table, claims.weights.T.tocsr()
    mask = (weights > 0).astype(np.int64)
    is_thin = (table["clusters"].to_numpy() < MIN_CLUSTERS).astype(np.int64)
    sums = {
        name: pl.Series(mask @ table[name].fill_null(0).cast(pl.Int64).to_numpy())
        for name in _SUMMED
    }
    means = {
        name: pl.Series(weights @ table[name].fill_null(0.0).to_numpy())
        for name in ("before", "after", "gain")
    }
    change = claims.relative_weights.T @ table["relative"].fill_null(0.0).to_numpy()
    width = half_widths(relative)
    half = np.where(_touches(claims.weights, ~_separable(cells)), np.inf, width)
    bounds = {
        "relative": pl.Series(change),
        "relative_lower": pl.select(above_minus_one(pl.lit(pl.Series(change - half)))).to_series(),
        "relative_upper": pl.Series(change + half),
    }
    no_span = np.isnan(table["span"].fill_null(np.nan).to_numpy())
    span = np.where(_touches(claims.weights, no_span), np.nan, _largest(weights, table["span"]))
    has_scores = pl.col("num_languages") > 0
    has_relative = pl.Series(
        (_column_sums(claims.relative_weights > 0) > 0)
        & ~_touches(claims.weights, _without_relative(cells))
    )
    rows = claims.rows.with_columns(
        tasks=pl.Series(np.asarray(mask.sum(axis=1)).ravel()),
        thin=pl.Series(mask @ is_thin),
        **{name: pl.when(has_scores).then(mean) for name, mean in means.items()},
        **{name: pl.when(has_relative).then(bound) for name, bound in bounds.items()},
        **sums,
        span=pl.Series(span).fill_nan(None),
        lower_is_better=pl.Series([signs[metric] < 0 for metric in claims.rows["metric"]]),
    )
    return with_chance(with_bounds(rows, gain, relative, units)).select(*_GROUP_COLUMNS)


def _separable(cells: Cells) -> np.ndarray:
    """Whether each cell's relative change has an interval; true where a metric has no ratio."""
    table = cells.table
    ratio = np.array([has_ratio(metric) for metric in table["metric"]])
    return table["separable"].to_numpy() | ~ratio | (table["items"].to_numpy() == 0)


def _without_relative(cells: Cells) -> np.ndarray:
    """Whether each cell's relative change is undefined, since the first checkpoint scores 0."""
    table = cells.table
    ratio = np.array([has_ratio(metric) for metric in table["metric"]])
    return table["relative"].is_null().to_numpy() & ratio & (table["items"].to_numpy() > 0)


def _touches(weights: "csr_matrix", marked: np.ndarray) -> np.ndarray:
    """Whether a claim has a marked cell [claims]."""
    return _column_sums((abs(weights) > 0).astype(float).multiply(marked[:, None])) > 0


def _largest(weights: "csr_matrix", values: pl.Series) -> np.ndarray:
    """The largest value among the cells of each claim [claims]."""
    return (
        (weights > 0)
        .multiply(values.fill_null(0.0).to_numpy()[None, :])
        .max(axis=1)
        .toarray()[:, 0]
    )


def _gaps(cells: Cells, claims: _Claims, widths: Widths) -> pl.DataFrame:
    """Rows of the gaps between the two halves of the languages."""
    gap = claims.relative_weights.T @ cells.table["relative"].fill_null(0.0).to_numpy()
    width = half_widths(widths)
    half = np.where(_touches(claims.weights, ~_separable(cells)), np.inf, width)
    defined = pl.Series(~_touches(claims.weights, _without_relative(cells)), dtype=pl.Boolean)
    values = {"relative": gap, "relative_lower": gap - half, "relative_upper": gap + half}
    return claims.rows.with_columns(
        **{
            name: pl.when(defined).then(pl.Series(value, dtype=pl.Float64))
            for name, value in values.items()
        }
    ).with_columns(verdict=verdict("relative_lower", "relative_upper"))
