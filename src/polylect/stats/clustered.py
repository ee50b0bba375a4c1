"""How uncertain a weighted mean is, when whole clusters of items could have been others.

The spread is that of a bootstrap over clusters with infinitely many resamples (its linear part, the
sandwich variance of a ratio), put to n − 1; Student's t of the number of clusters widens it, so
that an interval holds from a handful of documents on.
"""

import numpy as np
import polars as pl


def cluster_mean_and_se(
    frame: pl.DataFrame | pl.LazyFrame, columns: tuple[str, ...], value: pl.Expr, weight: pl.Expr
) -> pl.DataFrame:
    """Per group of ``columns``: ``mean``, its ``spread`` and ``num_clusters``.

    The spread is null where there is only one cluster: nothing is known of it.

    Args:
        frame: rows with the columns and ``cluster``.
        columns: the groups.
        value: what is averaged.
        weight: its weight, above 0.
    """
    # Sums follow the order of rows; sorted, so that equal rows give equal bytes.
    clusters = (
        frame.lazy()
        .select(*columns, "cluster", top=value * weight, bottom=weight)
        .sort(*columns, "cluster", "top", "bottom")
        .group_by(*columns, "cluster", maintain_order=True)
        .agg(pl.col("top").sum(), pl.col("bottom").sum())
    )
    whole = pl.col("bottom").sum().over(*columns)
    mean = pl.col("top").sum().over(*columns) / whole
    num = pl.len()
    return (
        clusters.with_columns(mean=mean, pull=(pl.col("top") - mean * pl.col("bottom")) / whole)
        .group_by(*columns, maintain_order=True)
        .agg(
            pl.col("mean").first(),
            spread=pl.when(num > 1).then(
                (pl.col("pull").pow(2).sum() * num / (num - 1).clip(lower_bound=1)).sqrt()
            ),
            num_clusters=num.cast(pl.Int64),
        )
        .collect()
    )


def student_half_width(spread: np.ndarray, num_clusters: np.ndarray, level: float) -> np.ndarray:
    """Half-widths of intervals that hold one at a time; infinite where there is one cluster."""
    from scipy.special import stdtrit

    half = np.full(len(spread), np.inf)
    known = num_clusters > 1
    quantile = stdtrit(num_clusters[known] - 1, (1 + level) / 2)
    half[known] = quantile * spread[known]
    return half
