"""The verdicts on a gain, by its interval, and on what is no evidence of anything."""

import polars as pl

from polylect.rows import AT_CHANCE

PAID, GAINED, OPEN = "paid", "gained", "not separable"


def verdict(lower: str, upper: str) -> pl.Expr:
    """``PAID`` if the interval lies below 0, ``GAINED`` if above, else ``OPEN``.

    Args:
        lower: column of the lower bound of the gain.
        upper: column of the upper bound.
    """
    paid, gained = pl.col(upper) < 0, pl.col(lower) > 0
    return (
        pl.when(paid).then(pl.lit(PAID)).when(gained).then(pl.lit(GAINED)).otherwise(pl.lit(OPEN))
    )


def with_chance(table: pl.DataFrame) -> pl.DataFrame:
    """The rows, of which those where both models guess have the verdict ``AT_CHANCE``.

    Args:
        table: with verdict and at_chance: of a cell a truth value, of a mean the number of such
            cells among its ``tasks``.
    """
    guessed = pl.col("at_chance")
    if "tasks" in table.columns:
        guessed = (guessed == pl.col("tasks")) & (pl.col("tasks") > 0)
    return table.with_columns(
        verdict=pl.when(guessed).then(pl.lit(AT_CHANCE)).otherwise(pl.col("verdict"))
    )


def ranked(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The rows by metric, worst-hurt first by what is printed: the one place that ranks.

    Two guesses are not ranked: rows at chance stand behind the others. What could not be compared
    stands last.

    Args:
        table: of ``with_chance``.
        columns: that order rows of equal change.
    """
    place = pl.when(pl.col("change").is_null()).then(2).otherwise(pl.col("verdict") == AT_CHANCE)
    return table.sort("metric", place, pl.col("change").round(12), *columns)
