"""The score table: one row per item and metric, with intervals and paired differences by bootstrap.

A score has a value and a weight; a group's score is the weighted mean of its items. Bits per byte
is such a mean: the value is a document's bits per byte, the weight its bytes, so that the group's
score is all bits over all bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from polylect.base import InputError, atomic_file, digest_of, generator

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
    "settings": pl.String(),
    "truncated": pl.Boolean(),
    "invalid": pl.Boolean(),
}
_KEY = ("task", "language", "group", "item", "metric")
_BLOCK_DRAWS = 1 << 22


@dataclass(frozen=True)
class ScoreTable:
    """A row per checkpoint, task, item and metric.

    Columns: checkpoint, task (``name@version``), language (tag), group (a cluster or a group of
    people; may be empty), item, cluster (what is resampled together, such as the translations of
    one document or the samples of one prompt; the item itself where there is none), metric, value,
    weight (1 where all items count alike), settings (digest of engine and settings), truncated,
    invalid. Invalid rows are counted, never averaged.
    """

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        assert dict(self.frame.schema) == SCHEMA, self.frame.schema

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, object]]) -> "ScoreTable":
        """The table of plain rows; missing columns take their neutral value."""
        neutral = {"group": "", "weight": 1.0, "settings": "", "truncated": False, "invalid": False}
        return cls(
            pl.DataFrame([neutral | {"cluster": row["item"]} | row for row in rows], schema=SCHEMA)
        )

    @classmethod
    def concat(cls, tables: Sequence["ScoreTable"]) -> "ScoreTable":
        """All rows of several tables."""
        return cls(pl.concat([pl.DataFrame(schema=SCHEMA), *[one.frame for one in tables]]))

    @classmethod
    def read(cls, path: Path) -> "ScoreTable":
        """The table in a Parquet file.

        Raises:
            InputError: no such file, not Parquet, or other columns.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file", "check the path")
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"{path}: not a whole Parquet file ({error})") from None
        if dict(frame.schema) != SCHEMA:
            missing = [name for name in SCHEMA if name not in frame.columns]
            raise InputError(f"{path}: not a score table (missing or of another type: {missing})")
        return cls(frame)

    def write(self, path: Path) -> None:
        """Write Parquet, rows in order of their keys: equal tables give equal bytes."""
        with atomic_file(path) as temporary:
            self.frame.sort("checkpoint", *_KEY).write_parquet(temporary, compression="zstd")

    @cached_property
    def digest(self) -> str:
        """Digest of the rows, in order of their keys."""
        return digest_of(self.frame.sort("checkpoint", *_KEY).rows())

    def only(self, **equal: str | Sequence[str]) -> "ScoreTable":
        """The rows whose columns have the given value, or one of the given values."""
        keep = pl.lit(value=True)
        for name, value in equal.items():
            keep &= pl.col(name).is_in([value] if isinstance(value, str) else list(value))
        return ScoreTable(self.frame.filter(keep))

    def by(self, *columns: str) -> pl.DataFrame:
        """Weighted mean (``value``), number of ``items`` and of ``invalid`` ones, per group."""
        valid = ~pl.col("invalid")
        product = (pl.col("value") * pl.col("weight")).filter(valid).sum()
        return (
            self.frame.group_by(*columns, maintain_order=True)
            .agg(
                value=product / pl.col("weight").filter(valid).sum(),
                items=valid.sum(),
                invalid=pl.col("invalid").sum(),
            )
            .sort(*columns)
        )

    def interval(
        self, *columns: str, level: float = 0.95, num_resamples: int = 1000, seed: int = 0
    ) -> pl.DataFrame:
        """``by`` with ``lower`` and ``upper``: percentile bootstrap over clusters.

        The columns must single out one metric and one checkpoint each, or the mean mixes them.
        """
        rows = []
        for key, part in self.frame.filter(~pl.col("invalid")).group_by(*columns):
            lower, upper = _percentiles(
                _resampled_ratio(part, num_resamples, seed, *map(str, key)), level
            )
            rows.append({**dict(zip(columns, key, strict=True)), "lower": lower, "upper": upper})
        bounds = pl.DataFrame(
            rows, {c: SCHEMA[c] for c in columns} | {"lower": pl.Float64(), "upper": pl.Float64()}
        )
        return self.by(*columns).join(bounds, on=columns, how="left")

    def paired(
        self,
        other: "ScoreTable",
        *columns: str,
        level: float = 0.95,
        num_resamples: int = 1000,
        seed: int = 0,
        allow_other_settings: bool = False,
    ) -> pl.DataFrame:
        """``other`` minus ``self`` on the items that both have, per group of ``columns``.

        Both tables hold one checkpoint. Clusters are resampled together in both, so that what
        makes an item hard for both cancels.

        Returns:
            the columns, then ``before``, ``after``, ``difference`` (after − before), ``lower``,
            ``upper`` (percentile bootstrap of the difference), ``items`` and ``unmatched`` (items
            that only one of the two has, or that are invalid in one).

        Raises:
            InputError: a table holds several checkpoints or an item twice, no item is shared, or
                the settings differ and this was not allowed.
        """
        for one in (self, other):
            names = one.frame["checkpoint"].unique().to_list()
            if len(names) != 1:
                raise InputError(
                    f"a paired comparison needs one checkpoint a side, found {sorted(names)}",
                    "choose one: table.only(checkpoint=NAME)",
                )
            twice = one.frame.filter(pl.struct(_KEY).is_duplicated())
            if not twice.is_empty():
                item, task = twice["item"][0], twice["task"][0]
                raise InputError(
                    f"item {item!r} of task {task!r} is there more than once",
                    "keep one row per task, language, group, item and metric",
                )
        joined = _join(self.frame, other.frame)
        matched = joined.filter(pl.col("both"))
        if matched.is_empty():
            raise InputError(
                "the two tables share no item", "score both on the same tasks and items"
            )
        differing = matched.filter(pl.col("settings") != pl.col("settings_right"))
        if not differing.is_empty() and not allow_other_settings:
            task = differing["task"][0]
            raise InputError(
                f"{differing.height} of {matched.height} items were scored with other settings"
                f" (first: task {task!r})",
                "score both alike, or allow it explicitly",
            )
        rows = []
        for key, part in joined.group_by(*columns):
            named = dict(zip(columns, key, strict=True))
            rows.append(_compare(named, part, level, num_resamples, seed))
        return pl.DataFrame(rows, infer_schema_length=None).sort(*columns)


def _join(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Outer join on the key; ``both`` says that a row is there and valid on both sides."""
    joined = before.join(after, on=_KEY, how="full", coalesce=True, validate="1:1")
    return joined.with_columns(
        both=(
            pl.col("value").is_not_null()
            & pl.col("value_right").is_not_null()
            & ~pl.col("invalid").fill_null(value=True)
            & ~pl.col("invalid_right").fill_null(value=True)
        )
    )


def _compare(
    key: dict[str, object], joined: pl.DataFrame, level: float, num_resamples: int, seed: int
) -> dict[str, object]:
    part = joined.filter(pl.col("both"))
    empty = {"before": None, "after": None, "difference": None, "lower": None, "upper": None}
    counts = {"items": part.height, "unmatched": joined.height - part.height}
    if part.is_empty():
        return key | empty | counts
    weight = part["weight"].to_numpy()
    before = float(np.average(part["value"].to_numpy(), weights=weight))
    after = float(np.average(part["value_right"].to_numpy(), weights=weight))
    difference = part.with_columns(value=pl.col("value_right") - pl.col("value"))
    draws = _resampled_ratio(difference, num_resamples, seed, *map(str, key.values()))
    lower, upper = _percentiles(draws, level)
    return (
        key
        | {"before": before, "after": after, "difference": after - before}
        | {"lower": lower, "upper": upper}
        | counts
    )


def _resampled_ratio(part: pl.DataFrame, num_resamples: int, seed: int, *names: str) -> np.ndarray:
    """Bootstrap draws [num_resamples] of the weighted mean, whole clusters at a time."""
    clusters = (
        part.group_by("cluster")
        .agg(top=(pl.col("value") * pl.col("weight")).sum(), bottom=pl.col("weight").sum())
        .sort("cluster")
    )
    sums = clusters.select("top", "bottom").to_numpy()
    random = generator(seed, "bootstrap", *names)
    num_clusters = len(sums)
    draws = np.empty(num_resamples)
    block = max(1, _BLOCK_DRAWS // num_clusters)
    for start in range(0, num_resamples, block):
        stop = min(start + block, num_resamples)
        picked = random.integers(0, num_clusters, (stop - start, num_clusters))
        top, bottom = sums[picked].sum(axis=1).T
        draws[start:stop] = top / bottom
    return draws


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
