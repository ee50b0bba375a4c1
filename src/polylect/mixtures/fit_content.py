"""What a fit found, as plain values and tables: what its page and its files are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from polylect.mixtures.fitted import MEAN, FittedRuns
from polylect.mixtures.law_forms import Floats
from polylect.mixtures.recommendation import FitConfig
from polylect.stats import rank_correlation

OFF = 0.1
"""Relative error of a cell above which the run that is farthest off is named."""


def content_of_fit(
    fitted: FittedRuns,
    config: FitConfig,
    held_out: Sequence[dict[str, Any]] = (),
    num_held_out: int = 0,
) -> dict[str, Any]:
    """All figures of a fit but the predictions of single runs.

    Args:
        fitted: the fitted runs.
        config: of the fit.
        held_out: errors on a table of other runs, from ``held_out_errors``.
        num_held_out: how many they are.

    Returns:
        plain values: ``shares`` (a row per column), ``gains`` (a row per cell, worst first),
        ``laws`` (a row per law), ``prices``, ``held_out``, and what was asked.
    """
    result, table = fitted.result, fitted.table
    return {
        "rule": config.rule,
        "verdict": result.verdict,
        "law": result.law_name,
        "num_runs": len(table.runs),
        "num_mixtures": int(fitted.mixtures.max()) + 1,
        "num_other_scales": fitted.num_other_scales,
        "scales": list(table.scales),
        "num_folds": int(result.folds.max()) + 1,
        "at_scale": fitted.at_scale,
        "reference": fitted.reference_name,
        "reference_beyond": fitted.beyond_tried(fitted.reference),
        "recommended_beyond": fitted.beyond_tried(result.shares) if result.is_change else [],
        "farthest": farthest_off(fitted),
        "p_value": result.no_effect.p_value,
        "lowest_p": result.no_effect.lowest,
        "level": config.level,
        "degrees": result.degrees,
        "gain": _bounds(result.gain.values, result.gain.lower, result.gain.upper),
        "edges": fitted.edges,
        "shares": [
            {"name": name, "reference": float(before), "recommended": float(after),
             "considered": float(best), "lowest": float(low), "highest": float(high)}
            for name, before, after, best, low, high in zip(
                fitted.columns, fitted.reference, result.shares, result.considered, result.lowest,
                result.highest, strict=True,
            )
        ],
        "gains": _gains(fitted),
        "laws": _laws(fitted, held_out),
        "too_many": [{"law": law, "numbers": num} for law, num in result.too_many.items()],
        "prices": price_table(fitted).to_dicts(),
        "held_out": list(held_out),
        "num_held_out": num_held_out,
    }  # fmt: skip


def farthest_off(fitted: FittedRuns) -> dict[str, Any] | None:
    """The run and cell that the law misses most, where a cell's error is above 10 %; else None.

    A miss is measured from the prediction without the run's mixture, relative to the median loss of
    the cell: an outlier would lift the mean.
    """
    result, losses = fitted.result, fitted.table.losses(fitted.cells)
    errors = result.errors[result.law_name]
    if float(errors.relative.max()) <= OFF:
        return None
    missed = np.abs(errors.predicted - losses) / np.median(losses, axis=0)
    run, cell = np.unravel_index(int(np.argmax(missed)), missed.shape)
    return {
        "run": fitted.table.runs[run],
        "cell": fitted.cells[cell],
        "observed": float(losses[run, cell]),
        "predicted": float(errors.predicted[run, cell]),
        "num_cells": int((errors.relative > OFF).sum()),
    }


def left_out_table(fitted: FittedRuns) -> pl.DataFrame:
    """Losses of every run, as they are and as each law predicts them without the run's mixture.

    Columns run, mixture, fold, cell, law, observed, predicted.
    """
    result, losses = fitted.result, fitted.table.losses(fitted.cells)
    num_runs, num_cells = losses.shape
    return pl.concat([
        pl.DataFrame({
            "run": np.repeat(fitted.table.runs, num_cells),
            "mixture": np.repeat(fitted.mixtures, num_cells),
            "fold": np.repeat(result.folds, num_cells),
            "cell": list(fitted.cells) * num_runs,
            "law": [law] * losses.size,
            "observed": losses.ravel(),
            "predicted": errors.predicted.ravel(),
        })
        for law, errors in result.errors.items()
    ])  # fmt: skip


def price_table(fitted: FittedRuns) -> pl.DataFrame:
    """What one percentage point more of a stream does to every cell, the others giving for it.

    Columns stream, cell, percent (rise of the loss, in per cent of it), lower, upper; a stream that
    no two runs moved on its own has none.
    """
    prices = fitted.result.prices
    rows = [
        {"stream": stream, "cell": cell, "percent": 100 * value, "lower": 100 * low,
         "upper": 100 * high}
        for stream, values, lows, highs in zip(fitted.columns, prices.values, prices.lower,
                                               prices.upper, strict=True)
        for cell, value, low, high in zip(fitted.cells, values.tolist(), lows.tolist(),
                                          highs.tolist(), strict=True)
        if np.isfinite(value)
    ]  # fmt: skip
    schema = {"stream": pl.String, "cell": pl.String, "percent": pl.Float64, "lower": pl.Float64,
              "upper": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _gains(fitted: FittedRuns) -> list[dict[str, Any]]:
    result = fitted.result
    before = result.law.predict(fitted.reference[None])[0]
    after = result.law.predict(result.shares[None])[0]
    rows = [
        {"cell": cell, "before": float(before[i]), "after": float(after[i]),
         **_bounds(result.gains.values[i], result.gains.lower[i], result.gains.upper[i]),
         "verdict": result.verdicts[i]}
        for i, cell in enumerate(fitted.cells)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["value"], row["cell"]))


def _laws(fitted: FittedRuns, held_out: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per law, the smallest error first."""
    losses = fitted.table.losses(fitted.cells)
    means = {row["law"]: row for row in held_out if row["cell"] == MEAN}
    rows: list[dict[str, Any]] = []
    for law, errors in fitted.result.errors.items():
        largest = fitted.result.errors[law].relative * np.nan
        if law in fitted.largest_scale:
            largest = fitted.largest_scale[law]
        rows.append({
            "law": law,
            "used": law == fitted.result.law_name,
            "left_out": float(errors.relative.mean()),
            "left_out_rank": _rank(errors.predicted, losses),
            "largest_scale": float(largest.mean()) if np.isfinite(largest).all() else None,
            "held_out": float(np.mean([row["relative"] for row in held_out
                                       if row["law"] == law and row["cell"] != MEAN]))
            if means else None,
            "held_out_rank": means[law]["rank_correlation"] if means else None,
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["left_out"])


def _rank(predicted: Floats, losses: Floats) -> float | None:
    """Rank correlation of mean losses over cells, each relative to its own mean."""
    level = losses.mean(axis=0)
    ours, true = (predicted / level).mean(axis=1), (losses / level).mean(axis=1)
    return rank_correlation(ours.tolist(), true.tolist()).rho


def _bounds(value: Any, lower: Any, upper: Any) -> dict[str, float]:
    return {"value": float(value), "lower": float(lower), "upper": float(upper)}
