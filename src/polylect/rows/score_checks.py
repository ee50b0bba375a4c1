"""The columns of a score table, and what their values may be."""

from pathlib import Path

import polars as pl

from polylect.base import InputError, did_you_mean

SCHEMA: dict[str, pl.DataType] = {
    "checkpoint": pl.String(),
    "task": pl.String(),
    "language": pl.String(),
    "group": pl.String(),
    "item": pl.String(),
    "cluster": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "weight": pl.Float64(),
    "chance": pl.Float64(),
    "settings": pl.String(),
    "truncated": pl.Boolean(),
    "invalid": pl.Boolean(),
}

_WORDS: dict[pl.DataType, str] = {
    pl.String(): "text",
    pl.Float64(): "numbers (Float64)",
    pl.Boolean(): "true or false",
}
_NAMES = ("checkpoint", "task", "item", "metric")
_HINT = "'polylect eval' writes such tables"


def check_scores(path: Path, frame: pl.DataFrame) -> None:
    """Refuse a table whose columns or values are not those of a score table.

    Raises:
        InputError: names the file, the row from 1, the column and the value.
    """
    for name, kind in SCHEMA.items():
        if name not in frame.columns:
            near = did_you_mean(name, [column for column in frame.columns if column not in SCHEMA])
            raise InputError(f"{path}: not a score table: no column {name!r}", near or _HINT)
        if frame.schema[name] != kind:
            raise InputError(
                f"{path}: not a score table: {name!r} is {frame.schema[name]}, not {_WORDS[kind]}",
                _HINT,
            )
    for name in frame.columns:
        if name not in SCHEMA:
            raise InputError(f"{path}: not a score table: unknown column {name!r}", "leave it out")
    valid = ~pl.col("invalid")
    wrong = {
        **{name: pl.col(name).is_null() for name in SCHEMA if name not in ("value", "chance")},
        "value": valid & ~pl.col("value").is_finite().fill_null(False),
        "chance": ~pl.col("chance").is_finite().fill_null(True),
    }
    wrong["weight"] |= valid & ~(pl.col("weight").is_finite() & (pl.col("weight") >= 0))
    for name in _NAMES:
        wrong[name] |= pl.col(name).str.strip_chars() == ""
    is_wrong = frame.select(**{name: rule.any() for name, rule in wrong.items()})
    for name, rule in wrong.items():
        if is_wrong[name][0]:
            row = frame.select(rule.arg_true().first()).item()
            value = frame[name][row]
            problem = "is missing" if value is None else f"is {value!r}"
            if isinstance(value, str) and not value.strip():
                problem = "is empty"
            raise InputError(f"{path}: row {row + 1}: {name!r} {problem}", _WANTED.get(name, _HINT))


_WANTED = {
    "value": "give a finite number, or mark the row as invalid",
    "weight": "give 0 or more",
    "chance": "give a finite number, or null",
}
