"""Who gained and who paid between two checkpoints: paired, worst-hurt language first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from polylect.base import Ledger, atomic_file
from polylect.comparison.cells import Cells, build_cells, pair
from polylect.comparison.language_groups import ALL, GIVEN, HALVES, LanguageGroup, places
from polylect.comparison.metrics import Metrics
from polylect.rows import ScoreTable
from polylect.stats import MIN_CLUSTERS, ClaimFamily, Widths, max_t

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PAID, GAINED, OPEN = "paid", "gained", "not separable"


@dataclass(frozen=True)
class Comparison:
    """Paired differences, per task and language, per language, and per group of languages.

    A **gain** is an improvement: above 0 is better whichever way the metric counts. ``lower`` and
    ``upper`` bound the gain and hold for all rows of a table at once; the verdict is theirs:
    ``paid`` (upper < 0), ``gained`` (lower > 0), ``not separable``. Rows come by metric, worst-hurt
    first.

    Attributes:
        before: name of the first checkpoint.
        after: name of the second.
        cells: a row per metric, task and language: before, after (weighted means), difference
            (after − before), gain, lower, upper, verdict, relative (difference / before), chance,
            near_chance (the baseline's own interval reaches down to chance), items, clusters,
            unmatched, truncated, worse and better (items that changed), p (exact McNemar; shares
            only), p_holm (adjusted over all cells), items_needed (to separate the gain seen, were
            it the truth, in 80 of 100 comparisons), detectable (the gain that this n separates in
            80 of 100).
        languages: a row per metric and language, a mean over its tasks, each counting alike:
            the same without chance and p; tasks; near_chance is a number of tasks; relative with
            relative_lower and relative_upper, simultaneous as well.
        groups: a row per metric and group of languages, a mean over its languages, each counting
            alike: kind, group, num_languages, thin (cells of fewer than four clusters, whose
            own spread is unknown), and as for languages.
        gaps: a row per metric: how much more the second half of the languages gained, or paid, than
            the first (Latin-script Indo-European against all others): first, second, relative (of
            the second less that of the first, turned so that below 0 the second pays more),
            relative_lower, relative_upper, verdict. Empty where groups were given, or one half is.
        level: of all intervals.
        ledger: what was left out, unmatched, invalid or truncated.
        settings: how the comparison was made.
    """

    before: str
    after: str
    cells: pl.DataFrame
    languages: pl.DataFrame
    groups: pl.DataFrame
    gaps: pl.DataFrame
    level: float
    ledger: Ledger = field(default_factory=Ledger)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        """Who gained, who paid, who cannot be told apart and how many items that would take."""
        from polylect.comparison.sentences import sentence

        return sentence(self)

    def rows(self) -> pl.DataFrame:
        """All three tables as one; column ``of`` is ``cell``, ``language`` or ``group``."""
        parts = {"cell": self.cells, "language": self.languages, "group": self.groups}
        named = [
            one.with_columns(of=pl.lit(name)).with_columns(pl.col("near_chance").cast(pl.Int64))
            for name, one in parts.items()
        ]
        return pl.concat(named, how="diagonal").select("of", pl.exclude("of"))

    def write(self, path: Path) -> None:
        """Write ``rows`` as Parquet; whole or not at all."""
        with atomic_file(path) as temporary:
            self.rows().write_parquet(temporary, compression="zstd")

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; an infinite bound is null."""
        tables = {"cells": self.cells, "languages": self.languages, "groups": self.groups,
                  "gaps": self.gaps}  # fmt: skip
        return {
            "before": self.before,
            "after": self.after,
            "level": self.level,
            "sentence": self.sentence(),
            "settings": dict(self.settings),
            "ledger": self.ledger.to_json(),
        } | {
            name: [_finite(row) for row in one.iter_rows(named=True)]
            for name, one in tables.items()
        }


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
    """Paired comparison on the items that both sides have, worst-hurt language first.

    Items are resampled by cluster, the same draw for all tasks and languages that share it. The
    intervals of a table hold simultaneously (max-t), so that picking out the worst does not make it
    look worse than it is. They are widened for few clusters as Student's t is; for shares of which
    fewer than three items changed, to the spread of three. The simulations are in
    benchmarks/logs/compare.md.

    Args:
        before: rows of one checkpoint.
        after: rows of another, on the same items.
        metrics: what to compare; by default each task's first known metric.
        groups: groups of languages to sum up, languages without scores left out; default: by
            script, family, resource class, and Latin-script Indo-European against the rest.
        level: of the intervals.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.
        allow_other_settings: compare although engine, prompts or settings differ.

    Raises:
        InputError: several checkpoints in a table, no shared items, an unknown metric, other
            settings.
    """
    metrics, ledger = metrics or Metrics(), Ledger()
    joined = pair(before, after, metrics, allow_other_settings=allow_other_settings, ledger=ledger)
    cells = build_cells(joined, metrics, level)
    tags = sorted(cells.table.filter(pl.col("items") > 0)["language"].unique())
    asked = places(tags, groups)
    by_language = _members(cells.table, [LanguageGroup("", tag, (tag,)) for tag in tags])
    by_group = _members(cells.table, asked)
    apart = _apart(by_group, metrics)
    alone = _Claims.alone(len(cells.table))
    families = [
        _family(cells, alone, relative=False),
        _family(cells, by_language, relative=False),
        _family(cells, by_group, relative=False),
        _family(cells, by_language, relative=True),
        _family(cells, by_group, relative=True),
        _family(cells, apart, relative=True),
    ]
    widths = max_t(families, level, num_resamples, seed)
    own = _with_bounds(cells.table, widths[0]).with_columns(
        difference=pl.col("after") - pl.col("before")
    )
    return Comparison(
        before=before.frame["checkpoint"][0],
        after=after.frame["checkpoint"][0],
        cells=_ordered(own.select(*_CELL_COLUMNS), "task", "language"),
        languages=_ordered(
            _summed(cells, by_language, widths[1], widths[3]).drop("kind", "thin", "num_languages")
            .rename({"group": "language"}), "language",
        ),
        groups=_summed(cells, by_group, widths[2], widths[4]),
        gaps=_gaps(cells, apart, widths[5]),
        level=level,
        ledger=ledger,
        settings={
            "num_resamples": num_resamples,
            "seed": seed,
            "other_settings_allowed": allow_other_settings,
        },
    )  # fmt: skip


_CELL_COLUMNS = (
    "metric", "task", "language", "before", "after", "difference", "gain", "lower", "upper",
    "verdict", "relative", "chance", "near_chance", "items", "clusters", "unmatched", "truncated",
    "worse", "better", "p", "p_holm", "items_needed", "detectable",
)  # fmt: skip


@dataclass(frozen=True)
class _Claims:
    """Means of cells: the weight of each cell in each claim, sparse [cells, claims]."""

    weights: "csr_matrix"
    relative_weights: "csr_matrix"
    rows: pl.DataFrame

    @classmethod
    def alone(cls, num: int) -> "_Claims":
        """Every cell by itself."""
        from scipy.sparse import identity

        one = identity(num, format="csr")
        return cls(one, one, pl.DataFrame())


def _members(table: pl.DataFrame, asked: Sequence[LanguageGroup]) -> _Claims:
    """A claim per metric and place: the mean over its languages of the mean over their tasks."""
    from scipy.sparse import csr_matrix

    used = table.with_row_index("cell").filter(pl.col("items") > 0)
    belongs = pl.DataFrame(
        [(i, one.kind, one.name, tag) for i, one in enumerate(asked) for tag in one.members],
        {"place": pl.Int64(), "kind": pl.String(), "group": pl.String(), "language": pl.String()},
        orient="row",
    )
    shown = (
        used.select("metric", "language").unique().join(belongs, on="language")
        .group_by("metric", "place", "kind", "group").agg(num_languages=pl.len().cast(pl.Int64))
    )  # fmt: skip
    # A group that was asked for by name is told of, even where nobody is in it.
    named = [(i, one.kind, one.name) for i, one in enumerate(asked) if one.kind == GIVEN]
    empty = (
        used.select("metric").unique()
        .join(pl.DataFrame(named, belongs.drop("language").schema, orient="row"), how="cross")
        .join(shown, on=["metric", "place"], how="anti")
        .with_columns(num_languages=pl.lit(0, pl.Int64()))
    )  # fmt: skip
    rows = pl.concat([shown, empty]).sort("metric", "place").with_row_index("claim")
    members = belongs.join(rows, on="place").select("claim", "metric", "language")
    parts = (used, used.filter(pl.col("relative").is_not_null()))
    weights = [_weights(part.join(members, on=["metric", "language"])) for part in parts]
    shape = (len(table), len(rows))
    both = [csr_matrix((weight, (cell, claim)), shape=shape) for cell, claim, weight in weights]
    return _Claims(both[0], both[1], rows.drop("claim", "place"))


def _apart(groups: _Claims, metrics: Metrics) -> _Claims:
    """A claim per metric: the relative change of the one half of the languages less the other's."""
    from scipy.sparse import csr_matrix

    rows, turns = [], []
    halves = groups.rows.with_row_index("claim").filter(pl.col("kind") == HALVES)
    for (metric,), part in halves.group_by("metric", maintain_order=True):
        if len(part) == 2:
            turn = np.zeros(len(groups.rows))
            turn[part["claim"].to_numpy()] = np.array([-1.0, 1.0]) * metrics.sign(str(metric))
            turns.append(turn)
            rows.append((str(metric), *part["group"]))
    names = pl.DataFrame(rows, ["metric", "first", "second"], orient="row")
    turned = np.array(turns).reshape(len(rows), len(groups.rows)).T
    both = groups.relative_weights @ csr_matrix(turned)
    return _Claims(both, both, names)


def _gaps(cells: Cells, claims: _Claims, widths: Widths) -> pl.DataFrame:
    gap = claims.relative_weights.T @ cells.table["relative"].fill_null(0.0).to_numpy()
    return claims.rows.with_columns(
        relative=pl.Series(gap, dtype=pl.Float64),
        relative_lower=pl.Series(gap - widths.half_width, dtype=pl.Float64),
        relative_upper=pl.Series(gap + widths.half_width, dtype=pl.Float64),
    ).with_columns(verdict=_verdict("relative_lower", "relative_upper"))


def _verdict(lower: str, upper: str) -> pl.Expr:
    paid, gained = pl.col(upper) < 0, pl.col(lower) > 0
    word = pl.when(paid).then(pl.lit(PAID)).when(gained).then(pl.lit(GAINED))
    return word.otherwise(pl.lit(OPEN))


def _weights(part: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell, claim and weight of each: languages count alike, and so do a language's tasks."""
    tasks = pl.len().over("claim", "language")
    found = part.select(
        "cell", "claim", w=1.0 / (tasks * pl.col("language").n_unique().over("claim"))
    )
    found = found.sort("claim", "cell")
    return found["cell"].to_numpy(), found["claim"].to_numpy(), found["w"].to_numpy()


def _family(cells: Cells, claims: _Claims, *, relative: bool) -> ClaimFamily:
    weights = claims.relative_weights if relative else claims.weights
    pulls = cells.relative_pulls if relative else cells.gain_pulls
    floor = cells.floor
    if relative:
        before = cells.table["before"].fill_null(0.0).to_numpy()
        floor = np.where(before > 0, floor / np.where(before > 0, before, 1.0), 0.0)
    clusters = cells.table["clusters"].to_numpy()
    spread = np.sqrt(np.asarray(pulls.multiply(pulls).sum(axis=0)).ravel())
    # Degrees of freedom of a mean: those of its cells, by what each adds to the spread.
    size = abs(weights)
    part = size.multiply((spread + 1e-300)[:, None]).tocsc()
    freedom = np.asarray(
        part.multiply(1.0 / np.maximum(clusters - 1, 1)[:, None]).sum(axis=0)
    ).ravel()
    total = np.asarray(part.sum(axis=0)).ravel()
    several = np.asarray((size > 0).sum(axis=0)).ravel() > 1
    joint = 1.0 + np.where(freedom > 0, total / np.where(freedom > 0, freedom, 1.0), 0.0)
    product = (pulls @ weights).tocsr()
    touched = np.asarray((_pattern(pulls) @ (size > 0).astype(float) > 0).sum(axis=0)).ravel()
    # A mean may rest on cells of one or two clusters; it stands where it has four in all.
    num = np.where(several & (touched >= MIN_CLUSTERS), np.maximum(joint, MIN_CLUSTERS), touched)
    squares = weights.multiply(weights).T @ floor**2
    return ClaimFamily(product, num.astype(float), np.sqrt(squares))


def _pattern(pulls: "csr_matrix") -> "csr_matrix":
    """1 wherever a cluster has items in a cell, whether it pulls or not."""
    found = pulls.copy()
    found.data = np.ones_like(found.data)
    return found


def _with_bounds(table: pl.DataFrame, widths: Widths) -> pl.DataFrame:
    gain = table["gain"].fill_null(0.0).to_numpy()
    needed = pl.Series(widths.times_more(gain)).fill_nan(None)
    half, able = pl.Series(widths.half_width), pl.Series(widths.detectable())
    known = pl.col("gain").is_not_null()
    return table.with_columns(
        lower=pl.col("gain") - half,
        upper=pl.col("gain") + half,
        items_needed=(needed * pl.col("items")).ceil().clip(upper_bound=1e15).cast(pl.Int64),
        detectable=pl.when(known & able.is_finite()).then(able),
    ).with_columns(verdict=_verdict("lower", "upper"))


def _summed(cells: Cells, claims: _Claims, gain: Widths, relative: Widths) -> pl.DataFrame:
    """Rows of languages or groups: means of their cells, sums of their counts, bounds."""
    table, weights = cells.table, claims.weights.T.tocsr()
    mask = (weights > 0).astype(np.int64)

    def mean(name: str) -> np.ndarray:
        return weights @ table[name].fill_null(0.0).to_numpy()

    def total(name: str) -> pl.Series:
        return pl.Series(mask @ table[name].fill_null(0).cast(pl.Int64).to_numpy())

    empty = pl.col("num_languages") == 0
    rated = pl.Series(np.asarray((claims.relative_weights > 0).sum(axis=0)).ravel() > 0)
    change = claims.relative_weights.T @ table["relative"].fill_null(0.0).to_numpy()
    found = claims.rows.with_columns(
        tasks=pl.Series(np.asarray(mask.sum(axis=1)).ravel()),
        before=pl.when(~empty).then(pl.Series(mean("before"))),
        after=pl.when(~empty).then(pl.Series(mean("after"))),
        gain=pl.when(~empty).then(pl.Series(mean("gain"))),
        relative=pl.when(rated).then(pl.Series(change)),
        relative_lower=pl.when(rated).then(pl.Series(change - relative.half_width)),
        relative_upper=pl.when(rated).then(pl.Series(change + relative.half_width)),
        **{
            one: total(one)
            for one in (
                "near_chance",
                "items",
                "clusters",
                "unmatched",
                "truncated",
                "worse",
                "better",
            )
        },
        thin=pl.Series(mask @ (table["clusters"].to_numpy() < MIN_CLUSTERS).astype(np.int64)),
    )
    return _with_bounds(found, gain).with_columns(
        difference=pl.col("after") - pl.col("before")
    ).select(
        "metric", "kind", "group", "num_languages", "tasks", "before", "after", "difference",
        "gain", "lower", "upper", "verdict", "relative", "relative_lower", "relative_upper",
        "near_chance", "items", "clusters", "unmatched", "truncated", "worse", "better", "thin",
        "items_needed", "detectable",
    )  # fmt: skip


def _ordered(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    """By metric, worst-hurt first; what could not be compared last."""
    return table.sort("metric", "gain", *names, nulls_last=True)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(one, float) and not math.isfinite(one) else one
        for key, one in row.items()
    }


__all__ = ["ALL", "GAINED", "OPEN", "PAID", "Comparison", "compare"]
