"""Uncertainty of a weighted mean whose items come in clusters, such as documents or prompts.

The standard error is that of a bootstrap over clusters with infinitely many resamples (its linear
part, the sandwich variance of a ratio), with the correction n / (n − 1). Student's t with the
number of clusters widens the interval, so that it holds from a handful of documents on.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

_ROUNDING = 1e-13


def cluster_mean_and_se(
    frame: pl.DataFrame | pl.LazyFrame, columns: Sequence[str], value: pl.Expr, weight: pl.Expr
) -> pl.DataFrame:
    """``mean``, ``standard_error`` and ``num_clusters`` per group of ``columns``.

    The standard error is null for a single cluster.

    Args:
        frame: rows with the columns and ``cluster``.
        columns: the groups.
        value: what is averaged.
        weight: its weight, above 0.

    >>> rows = pl.DataFrame({"tag": ["de"] * 3, "cluster": ["a", "a", "b"], "x": [1.0, 3.0, 5.0]})
    >>> cluster_mean_and_se(rows, ["tag"], pl.col("x"), pl.lit(1.0)).row(0)[::3]
    ('de', 2)
    """
    # Sums depend on the order of rows; sorted, so that equal rows give equal bytes.
    clusters = (
        frame.lazy()
        .select(*columns, "cluster", top=value * weight, bottom=weight)
        .sort(*columns, "cluster", "top", "bottom")
        .group_by(*columns, "cluster", maintain_order=True)
        .agg(pl.col("top").sum(), pl.col("bottom").sum())
    )
    total = pl.col("bottom").sum().over(*columns)
    mean = pl.col("top").sum().over(*columns) / total
    num = pl.len()
    squares = pl.col("influence").pow(2).sum()
    return (
        clusters.with_columns(
            mean=mean, influence=(pl.col("top") - mean * pl.col("bottom")) / total
        )
        .group_by(*columns, maintain_order=True)
        .agg(
            pl.col("mean").first(),
            standard_error=pl.when(num > 1).then(
                (squares * num / (num - 1).clip(lower_bound=1)).sqrt()
            ),
            num_clusters=num.cast(pl.Int64),
        )
        .collect()
    )


def cluster_interval(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    value: pl.Expr,
    weight: pl.Expr,
    level: float = 0.95,
) -> pl.DataFrame:
    """``cluster_mean_and_se`` with ``lower`` and ``upper``, one group at a time.

    Both bounds are infinite for a single cluster, and where all clusters are equal: nothing was
    seen of how they vary. For values with a lowest and a highest one, such as a share of right
    answers, see ``share_interval``.
    """
    table = cluster_mean_and_se(frame, columns, value, weight)
    half_width = pl.Series(
        student_half_width(
            _beyond_rounding(table),
            table["num_clusters"].to_numpy(),
            level,
        )
    )
    return table.with_columns(lower=pl.col("mean") - half_width, upper=pl.col("mean") + half_width)


def _beyond_rounding(table: pl.DataFrame) -> np.ndarray:
    """The standard errors; 0 where there is none, or one that is only the rounding of the mean."""
    error, mean = table["standard_error"].fill_null(0.0).to_numpy(), table["mean"].to_numpy()
    return np.where(error > _ROUNDING * np.abs(mean), error, 0.0)


def student_half_width(
    standard_error: np.ndarray, num_clusters: np.ndarray, level: float
) -> np.ndarray:
    """Half-widths of Student's t intervals, each for itself [N].

    Infinite for a single cluster, or without a standard error.

    >>> student_half_width(np.array([0.1, 0.1]), np.array([1, 20]), 0.95).round(3).tolist()
    [inf, 0.209]
    """
    from scipy.special import stdtrit

    half_width = np.full(len(standard_error), np.inf)
    several = (num_clusters > 1) & (standard_error > 0)
    quantile = stdtrit(num_clusters[several] - 1, (1 + level) / 2)
    half_width[several] = quantile * standard_error[several]
    return half_width


def cluster_bootstrap(
    values: Sequence[float] | np.ndarray,
    clusters: np.ndarray,
    groups: np.ndarray,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Means of every resample when whole clusters are drawn with replacement [resamples, groups].

    Args:
        values: [N].
        clusters: codes from 0, e.g. of the prompt [N].
        groups: codes from 0, e.g. of the language [N].
        num_resamples: rows of the result.
        seed: seed of the draws.
    """
    from scipy.sparse import coo_matrix

    values = np.asarray(values, np.float64)
    num_clusters = int(clusters.max()) + 1
    shape = (num_clusters, int(groups.max()) + 1)
    sums = coo_matrix((values, (clusters, groups)), shape).toarray()
    counts = coo_matrix((np.ones(len(values)), (clusters, groups)), shape).toarray()
    random = np.random.Generator(np.random.Philox(seed))
    drawn = random.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), num_resamples)
    drawn = drawn.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (drawn @ sums) / (drawn @ counts)
