"""The interval of a share, or of any mean of values with a lowest and a highest one.

A score interval (Wilson 1927): its spread is that of the truth it tests, not of what was seen, so
that it never leaves the scale and never has zero width. Items that come in clusters, weights, and
values between the ends (ties) enter through an effective number of items, the mean's Bernoulli
variance over its variance between clusters (Kish 1965; Franco, Little, Louis and Slud 2019 compare
such intervals). That variance says little where few clusters differ from the rest, and nothing
where none does, so it is pulled towards a cautious one:

- between clusters: as if the items of a cluster were correlated by 0.9, weighing two against the
  number of clusters that the variance rests on (Satterthwaite's degrees of freedom);
- between values: as if two more clusters had a value at an end. Values of 0 and 1 need none of it:
  their variance follows from their mean.

Independent items of equal weight have exactly Wilson's interval. ``benchmarks/share_coverage.py``
has the coverage.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from polylect.stats.proportions import Proportion, score_bounds, two_sided_z, wilson_interval

_UNKNOWN_CORRELATION = 0.9
_CORRELATION_WEIGHT = 2.0
_END_VALUES = 2.0
_ROUNDING = 1e-24


def effective_numbers(
    frame: pl.DataFrame | pl.LazyFrame, columns: Sequence[str], value: pl.Expr, weight: pl.Expr
) -> pl.DataFrame:
    """``mean``, ``num_effective`` and ``num_clusters`` per group of ``columns``.

    Args:
        frame: rows with the columns and ``cluster``.
        columns: the groups.
        value: what is averaged, from 0 to 1.
        weight: its weight, above 0.
    """
    # Sums depend on the order of rows; sorted, so that equal rows give equal bytes.
    clusters = (
        frame.lazy()
        .select(*columns, "cluster", value=value.cast(pl.Float64), weight=weight.cast(pl.Float64))
        .sort(*columns, "cluster", "value", "weight")
        .group_by(*columns, "cluster", maintain_order=True)
        .agg(
            top=(pl.col("value") * pl.col("weight")).sum(),
            bottom=pl.col("weight").sum(),
            squares=(pl.col("value") ** 2 * pl.col("weight")).sum(),
            weight_squares=pl.col("weight").pow(2).sum(),
            binary=pl.col("value").is_in([0.0, 1.0]).all(),
        )
    )
    total = pl.col("bottom").sum().over(*columns)
    mean = pl.col("top").sum().over(*columns) / total
    table = (
        clusters.with_columns(
            mean=mean, influence=(pl.col("top") - mean * pl.col("bottom")) / total
        )
        .group_by(*columns, maintain_order=True)
        .agg(
            pl.col("mean").first(),
            num_clusters=pl.len().cast(pl.Int64),
            items=pl.col("bottom").sum() ** 2 / pl.col("weight_squares").sum(),
            blocks=pl.col("bottom").sum() ** 2 / pl.col("bottom").pow(2).sum(),
            spread=pl.col("squares").sum() / pl.col("bottom").sum() - pl.col("mean").first() ** 2,
            second=pl.col("influence").pow(2).sum(),
            fourth=pl.col("influence").pow(4).sum(),
            binary=pl.col("binary").all(),
        )
        .collect()
    )
    numbers = {name: table[name].to_numpy() for name in table.columns if name not in columns}
    return table.select(
        *columns, "mean", "num_clusters", num_effective=pl.Series(_effective(numbers))
    )


def _effective(numbers: dict[str, np.ndarray]) -> np.ndarray:
    """Effective numbers of items, from sums over the clusters of each group [groups]."""
    items, clusters = numbers["items"], numbers["num_clusters"].astype(np.float64)
    mean, spread = numbers["mean"], np.maximum(numbers["spread"], 0.0)
    bernoulli = mean * (1.0 - mean)
    varies = (spread > 1e-12) & (bernoulli > 1e-12)
    ratio = np.where(varies, spread / np.where(varies, bernoulli, 1.0), 0.0)
    ratio = (clusters * np.minimum(ratio, 1.0) + _END_VALUES) / (clusters + _END_VALUES)
    ratio = np.where(numbers["binary"], 1.0, ratio)

    most = np.maximum(items / numbers["blocks"], 1.0)  # the clusters' items all say the same
    cautious = 1.0 + _UNKNOWN_CORRELATION * (most - 1.0)
    independent = np.where(varies, spread, 1.0) / items
    between = numbers["second"] * clusters / np.maximum(clusters - 1.0, 1.0)
    seen = np.clip(between / independent, 1.0, most)
    second, fourth = numbers["second"], numbers["fourth"]
    equal = second <= _ROUNDING  # clusters of one share, which is as much seen as any other
    freedom = np.where(equal, clusters - 1.0, second**2 / np.where(equal, 1.0, fourth))
    trust = np.where(varies, freedom / (freedom + _CORRELATION_WEIGHT), 0.0)
    return items / (ratio * (trust * seen + (1.0 - trust) * cautious))


def share_of_counts(hits: np.ndarray, num: np.ndarray, level: float = 0.95) -> Proportion:
    """The share Σ hits / Σ num of items that come in clusters, such as days; 0 to 1 without items.

    Args:
        hits: of each cluster [clusters].
        num: items of each cluster [clusters].
        level: of the interval.

    >>> interval = share_of_counts(np.array([0.0, 0.0]), np.array([3.0, 2.0]))
    >>> interval.lower, round(interval.upper, 2)
    (0.0, 0.65)
    """
    total, used = float(num.sum()), num > 0
    if not total:
        return Proportion(0.0, 0.0, 1.0)
    mean = float(hits.sum()) / total
    influence = (hits[used] - mean * num[used]) / total
    numbers = {
        "num_clusters": used.sum(), "items": total, "blocks": total**2 / (num**2).sum(),
        "mean": mean, "spread": mean * (1.0 - mean), "second": (influence**2).sum(),
        "fourth": (influence**4).sum(), "binary": True,
    }  # fmt: skip
    effective = _effective({name: np.array([value]) for name, value in numbers.items()})
    return wilson_interval(mean, float(effective[0]), level)


def share_interval(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    value: pl.Expr,
    weight: pl.Expr | None = None,
    level: float = 0.95,
    *,
    scale: tuple[float, float] = (0.0, 1.0),
) -> pl.DataFrame:
    """``mean``, ``lower``, ``upper``, ``num_effective``, ``num_clusters`` per group, one at a time.

    Args:
        frame: rows with the columns and ``cluster``: what was drawn independently, such as a
            prompt or a document.
        columns: the groups.
        value: what is averaged: a share's items are 0 and 1, a tie lies between.
        weight: its weight, above 0; None for equal weights.
        level: of the interval.
        scale: lowest and highest value that there can be.

    >>> rows = pl.DataFrame({"language": ["de"] * 5, "cluster": list("abcde"), "right": [0.0] * 5})
    >>> row = share_interval(rows, ["language"], pl.col("right")).row(0, named=True)
    >>> row["mean"], row["lower"], round(row["upper"], 3)
    (0.0, 0.0, 0.434)
    """
    low, size = scale[0], scale[1] - scale[0]
    table = effective_numbers(
        frame, columns, (value - low) / size, pl.lit(1.0) if weight is None else weight
    )
    mean = table["mean"].to_numpy()
    lower, upper = score_bounds(mean, table["num_effective"].to_numpy(), two_sided_z(level))
    return table.select(
        *columns,
        mean=pl.Series(low + size * mean),
        lower=pl.Series(low + size * lower),
        upper=pl.Series(low + size * upper),
        num_effective="num_effective",
        num_clusters="num_clusters",
    )
