"""The three verdicts on a gain, by its interval."""

import polars as pl

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
