"""Bounds of a comparison's rows, what a change is printed as, and what a decision would take."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from polylect.base import Ledger
from polylect.comparison.metrics import has_ratio, is_ratio_scale, unit
from polylect.comparison.verdicts import verdict
from polylect.stats import Widths, score_bounds

_NO_ERROR = 1e-10
"""A standard error that is rounding alone."""


def change_units(table: pl.DataFrame) -> dict[str, str]:
    """What a change of each metric is given in: points, % of the baseline, or the metric's unit."""
    units = {}
    for (metric,), part in table.filter(pl.col("items") > 0).group_by("metric"):
        ratio = is_ratio_scale(str(metric)) and part["separable"].all()
        units[str(metric)] = "%" if ratio else unit(str(metric))
    return units


def count_inseparable(table: pl.DataFrame, ledger: Ledger) -> None:
    """Count the cells whose relative change has no interval, by language."""
    ratio = pl.col("metric").map_elements(has_ratio, pl.Boolean())
    lost = table.filter((pl.col("items") > 0) & ~pl.col("separable") & ratio)
    for language, num in lost.group_by("language").len().sort("language").rows():
        ledger.count("no interval of the relative change: A is not separable from 0", num, language)


def half_widths(widths: Widths) -> np.ndarray:
    """Half-widths of changes; infinite where all clusters changed alike, or none did.

    That says nothing of how much others would change.
    """
    return np.where(widths.standard_error <= _NO_ERROR, np.inf, widths.half_width)


def above_minus_one(lower: pl.Expr) -> pl.Expr:
    """The lower end of a relative change, which no score above 0 can pass; infinite ones stay."""
    return pl.when(lower.is_infinite()).then(lower).otherwise(lower.clip(lower_bound=-1.0))


def with_bounds(
    table: pl.DataFrame, widths: Widths, relative: Widths, units: Mapping[str, str]
) -> pl.DataFrame:
    """The rows with difference, bounds, change and verdict, and what a decision would take.

    Args:
        table: with lower_is_better, gain, span, and relative with its bounds.
        widths: of the gain.
        relative: widths of the relative change.
        units: of each metric's change.
    """
    gain = table["gain"].fill_null(0.0).to_numpy()
    lower, upper = gain_bounds(gain, table["span"].fill_null(np.nan).to_numpy(), widths)
    unit_of = pl.Series([units.get(metric, "") for metric in table["metric"]], dtype=pl.String)
    is_ratio = (unit_of == "%").to_numpy()
    sign = np.where(table["lower_is_better"].to_numpy(), -1.0, 1.0)
    # Plus 0, so that no change is not -0.
    change = sign * table["relative"].fill_null(0.0).to_numpy() + 0.0
    ends = [sign * table[name].fill_null(0.0).to_numpy() + 0.0
            for name in ("relative_lower", "relative_upper")]  # fmt: skip
    times_more = np.where(is_ratio, relative.times_more(change), widths.times_more(gain))
    detectable = np.where(is_ratio, relative.detectable(), widths.detectable())
    half = np.where(is_ratio, half_widths(relative), half_widths(widths))
    detectable = np.where(np.isfinite(half), detectable, np.inf)
    times_more = np.where(np.isfinite(half), times_more, np.nan)
    detectable = np.where(detectable > _limit(table["span"], is_ratio), np.inf, detectable)
    # A ratio to a score of 0 is undefined; the gain is not.
    known = pl.col("gain").is_not_null() & ~(pl.Series(is_ratio) & pl.col("relative").is_null())
    columns = {
        "change": np.where(is_ratio, change, gain),
        "change_lower": np.where(is_ratio, np.minimum(*ends), lower),
        "change_upper": np.where(is_ratio, np.maximum(*ends), upper),
        "lower": lower,
        "upper": upper,
    }
    return table.with_columns(
        difference=pl.col("after") - pl.col("before"),
        unit=unit_of,
        items_needed=(pl.Series(times_more).fill_nan(None) * pl.col("items"))
        .ceil().clip(upper_bound=1e15).cast(pl.Int64),
        detectable=pl.when(known & pl.Series(np.isfinite(detectable))).then(pl.Series(detectable)),
        **{
            name: pl.when(known if "change" in name else pl.col("gain").is_not_null())
            .then(pl.Series(values))
            for name, values in columns.items()
        },
    ).with_columns(verdict=verdict("change_lower", "change_upper"))  # fmt: skip


def gain_bounds(
    gain: np.ndarray, span: np.ndarray, widths: Widths
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of gains: symmetric, or a score interval where the metric has a scale.

    A gain of a metric with a scale lies somewhere between losing all of it and gaining all of it;
    where it lies is a share, of as many items as give it the gain's standard error.
    """
    scaled = np.isfinite(span) & np.isfinite(widths.half_width)
    size = np.where(scaled, span, 1.0)
    share = np.clip((gain / size + 1.0) / 2.0, 0.0, 1.0)
    variance = (widths.standard_error / (2.0 * size)) ** 2
    num = share * (1.0 - share) / np.where(variance > 0, variance, np.inf)
    # No mean has a larger variance than one whose clusters are all at an end.
    num = np.maximum(num, widths.num_clusters)
    low, high = score_bounds(share, num, np.where(scaled, widths.critical, np.inf))
    half = half_widths(widths)
    lower, upper = gain - half, gain + half
    return (
        np.where(scaled, size * (2.0 * low - 1.0), lower),
        np.where(scaled, size * (2.0 * high - 1.0), upper),
    )


def _limit(span: pl.Series, is_ratio: np.ndarray) -> np.ndarray:
    """The largest gain that there can be; infinite without a scale."""
    return np.where(is_ratio, np.inf, span.fill_null(np.inf).to_numpy())
