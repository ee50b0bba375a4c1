"""Means of ratios over groups and seeds, with intervals that respect seeds and documents.

Seeds and documents are crossed: every seed's models are scored on the same documents. The variance
is that between the seeds' means plus that of the seeds' average between documents. What both share
is counted twice. Each part has Student's t with its own degrees of freedom, and the squares of the
half-widths add up (as in Graybill and Wang's intervals for sums of variances): with three seeds
the interval holds whichever of the two varies (tests/unit/recipes/test_nexus_findings.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from polylect.stats import score_bounds, two_sided_z

DOCUMENTS_ONLY = "one seed: the interval is over documents alone"


@dataclass(frozen=True)
class Interval:
    """A mean and its interval.

    Attributes:
        mean: over seeds, of the mean over groups.
        lower: lower bound; -inf where nothing says how it varies.
        upper: upper bound; inf likewise.
        seeds: the mean of each seed, in their order.
        num_documents: distinct documents (clusters).
    """

    mean: float
    lower: float
    upper: float
    seeds: tuple[float, ...]
    num_documents: int

    def mapped(self, scale: float, offset: float = 0.0) -> "Interval":
        """The interval of offset + scale · x; a negative scale swaps the bounds."""
        ends = sorted((offset + scale * self.lower, offset + scale * self.upper))
        seeds = tuple(offset + scale * value for value in self.seeds)
        return Interval(offset + scale * self.mean, ends[0], ends[1], seeds, self.num_documents)

    def as_share(self, level: float = 0.95) -> "Interval":
        """The score interval of a share, as wide as this one in its middle; within 0 and 1.

        At 0 and 1, where nothing varies, the documents count as independent draws (as in
        ``stats.share_interval``).

        Args:
            level: of the interval.
        """
        z, p = two_sided_z(level), self.mean
        half = (self.upper - self.lower) / 2
        if 0 < p < 1 and np.isfinite(half):
            num_effective = p * (1 - p) * (z / half) ** 2
        elif p in (0.0, 1.0) and self.num_documents > 1:
            num_effective = float(self.num_documents)
        else:
            return self
        lower, upper = score_bounds(np.array([p]), np.array([num_effective]), z)
        return replace(self, lower=float(lower[0]), upper=float(upper[0]))

    def bounds(self) -> dict[str, float | None]:
        """``lower`` and ``upper``; None where nothing says how the mean varies."""
        known = np.isfinite(self.upper - self.lower)
        return {
            "lower": self.lower if known else None,
            "upper": self.upper if known else None,
        }

    def verdict(self, claimed: int, null: float = 0.0) -> str:
        """``same direction``, ``opposite`` or ``not separable`` from the null.

        Args:
            claimed: 1: the paper says more than the null; -1: less.
            null: what no effect is.
        """
        side = int(self.lower > null) - int(self.upper < null)
        return {claimed: "same direction", -claimed: "opposite"}.get(side, "not separable")


def ratio_interval(
    rows: pl.DataFrame, level: float = 0.95, weights: Mapping[str, float] | None = None
) -> Interval:
    """The mean over seeds and groups of Σ top / Σ bottom, with its interval.

    With one seed, or none that differ, the documents alone are respected.

    Args:
        rows: columns seed, group (a language, a domain), cluster (the document), top, bottom.
        level: of the interval.
        weights: of the groups, in place of one over their number; a difference of two means has
            weights below zero.
    """
    from scipy.special import stdtrit

    sums = rows.group_by("seed", "group", "cluster").agg(pl.col("top", "bottom").sum())
    sums = sums.sort("seed", "group", "cluster")
    cells = ["seed", "group"]
    whole = pl.col("bottom").sum().over(cells)
    ratio = pl.col("top").sum().over(cells) / whole
    groups = sums["group"].unique().to_list()
    share = weights or dict.fromkeys(groups, 1.0 / len(groups))
    of_group = pl.col("group").replace_strict(dict(share), return_dtype=pl.Float64)
    seeds = sums["seed"].unique(maintain_order=True).to_list()
    influence = (pl.col("top") - ratio * pl.col("bottom")) / whole * of_group / len(seeds)
    sums = sums.with_columns(ratio=ratio, influence=influence)
    means = (
        sums.group_by(cells, maintain_order=True)
        .agg(pl.col("ratio").first())
        .group_by("seed", maintain_order=True)
        .agg((pl.col("ratio") * of_group).sum() if weights else pl.col("ratio").mean())
    )["ratio"].to_numpy()
    of_documents = sums.group_by("cluster", maintain_order=True).agg(pl.col("influence").sum())
    fewest = sums.group_by("group").agg(pl.col("cluster").n_unique())["cluster"].min()
    assert isinstance(fewest, int)
    mean, squares = float(means.mean()), []
    if fewest > 1:
        variance = float(of_documents["influence"].pow(2).sum()) * fewest / (fewest - 1)
        squares.append(variance * stdtrit(fewest - 1, (1 + level) / 2) ** 2)
    if len(seeds) > 1:
        variance = float(means.var(ddof=1)) / len(seeds)
        squares.append(variance * stdtrit(len(seeds) - 1, (1 + level) / 2) ** 2)
    total = float(sum(squares))
    half = total**0.5 if fewest > 1 and total > 0 else np.inf
    values = tuple(float(value) for value in means)
    return Interval(mean, mean - half, mean + half, values, of_documents.height)


def line_of(interval: Interval, claimed: int, null: float = 0.0) -> dict[str, Any]:
    """Mean, bounds, seeds' means and the verdict; without a claim: better, worse or neither."""
    said = interval.verdict(claimed or 1, null)
    if not claimed:
        said = {"same direction": "better", "opposite": "worse"}.get(said, said)
    return {
        "mean": interval.mean,
        **interval.bounds(),
        "seeds": list(interval.seeds),
        "documents": interval.num_documents,
        "verdict": said,
        "note": "" if len(interval.seeds) > 1 else DOCUMENTS_ONLY,
    }
