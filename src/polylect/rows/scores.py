"""The score table: a row per item and metric, with intervals and paired differences.

A score has a value and a weight; a group's score is the weighted mean of its items. For bits per
byte the value is a document's bits per byte and the weight its bytes: the group's score is all bits
over all bytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from polylect.base import InputError, atomic_file, digest_of, look_alike_lines, refuse_pointer
from polylect.rows.metric_ranges import is_nonnegative, metric_range
from polylect.rows.score_checks import SCHEMA, check_scores
from polylect.stats import cluster_interval, cluster_mean_and_se, share_interval

_OPEN_ENDED = re.compile(r"bits|loss|nll|log_likelihood|perplexity|.*(reward|tokens)")
_KEY = ("task", "language", "group", "item", "metric")


@dataclass(frozen=True)
class ScoreTable:
    """A row per checkpoint, task, item and metric.

    Columns: checkpoint, task (``name@version``), language (tag), group (a cluster or a group of
    people; may be empty), item, cluster (what is resampled together, such as the translations of
    one document or the samples of one prompt; by default the item), metric, value, weight (1 if
    all items count equally), chance (expected value of guessing; null if undefined), settings
    (digest of engine and settings), truncated, invalid. Invalid rows are counted, never averaged.
    """

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        assert dict(self.frame.schema) == SCHEMA, self.frame.schema

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, object]]) -> "ScoreTable":
        """The table of plain rows; missing columns get a neutral default."""
        defaults = {"group": "", "weight": 1.0, "chance": None, "settings": ""}
        defaults |= {"truncated": False, "invalid": False}
        return cls(
            pl.DataFrame([defaults | {"cluster": row["item"]} | row for row in rows], schema=SCHEMA)
        )

    @classmethod
    def concat(cls, tables: Sequence["ScoreTable"]) -> "ScoreTable":
        """All rows of several tables."""
        return cls(pl.concat([pl.DataFrame(schema=SCHEMA), *[table.frame for table in tables]]))

    @classmethod
    def read(cls, path: Path) -> "ScoreTable":
        """The table in a Parquet file.

        Raises:
            InputError: no such file, not Parquet, other columns, or a value that no score can have.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file", "check the path")
        refuse_pointer(path)
        try:
            # Read once: polars opens a path several times, and the file may be replaced meanwhile.
            frame = pl.read_parquet(path.read_bytes())
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
            if "UTF-8" in reason:
                _name_wrong_text(path)
            raise InputError(
                f"{path}: not a whole Parquet file ({reason})", "copy it again"
            ) from None
        check_scores(path, frame)
        return cls(frame)

    def write(self, path: Path) -> None:
        """Write Parquet, sorted by key: equal tables give equal bytes."""
        with atomic_file(path) as temporary:
            self.frame.sort("checkpoint", *_KEY).write_parquet(temporary, compression="zstd")

    @cached_property
    def digest(self) -> str:
        """Digest of the rows, sorted by key."""
        return digest_of(self.frame.sort("checkpoint", *_KEY).rows())

    def only(self, **equal: str | Sequence[str]) -> "ScoreTable":
        """The rows whose columns have the given value or one of the given values."""
        keep = pl.lit(value=True)
        for name, value in equal.items():
            keep &= pl.col(name).is_in([value] if isinstance(value, str) else list(value))
        return ScoreTable(self.frame.filter(keep))

    def by(self, *columns: str) -> pl.DataFrame:
        """Weighted mean (``value``), numbers of ``items`` and of ``invalid`` ones, by group."""
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

    def interval(self, *columns: str, level: float = 0.95) -> pl.DataFrame:
        """``by`` with ``lower`` and ``upper``, over clusters.

        Each group must hold one metric and one checkpoint, or the mean mixes them. Metrics with a
        lowest and a highest value (``metric_range``), and others whose values are all 0 or 1, have
        the interval of a share; others Student's t, infinite for a single cluster or equal values.
        A group without valid rows has none.
        """
        valid = _with_scale(self.frame.filter(~pl.col("invalid")), columns, ["value"])
        bounds = _intervals(valid, columns, pl.col("value"), level, difference=False)
        positive = pl.col("metric").first().map_elements(is_nonnegative, pl.Boolean())
        positive &= pl.col("value").min() >= 0
        least = valid.group_by(columns).agg(
            least=pl.when(positive).then(pl.lit(0.0)).otherwise(-float("inf"))
        )
        bounds = bounds.join(least, on=columns, how="left").with_columns(
            lower=pl.when(pl.col("lower").is_infinite())
            .then("lower")
            .otherwise(pl.max_horizontal("lower", "least"))
        )
        return self.by(*columns).join(
            bounds.select(*columns, "lower", "upper"), on=columns, how="left"
        )

    def paired(
        self,
        other: "ScoreTable",
        *columns: str,
        level: float = 0.95,
        allow_other_settings: bool = False,
    ) -> pl.DataFrame:
        """``other`` minus ``self`` on the items that both have, by group of ``columns``.

        Each table holds one checkpoint. Differences are taken item by item, so that the difficulty
        of an item cancels.

        Returns:
            the columns, then ``before``, ``after``, ``difference`` (after − before), ``lower``,
            ``upper`` (over clusters, one group at a time, as ``interval``), ``items`` and
            ``unmatched`` (items that only one of the two has, or that are invalid in one).

        Raises:
            InputError: a table holds several checkpoints or an item twice, no item is shared, or
                the settings differ and this was not allowed.
        """
        joined = self.joined(other, allow_other_settings=allow_other_settings)
        both = pl.col("both")
        matched, weight = joined.filter(both), pl.col("weight")
        before, after = (
            cluster_mean_and_se(matched, columns, pl.col(value), weight).select(
                *columns, pl.col("mean").alias(name)
            )
            for name, value in (("before", "value"), ("after", "value_right"))
        )
        change = pl.col("value_right") - pl.col("value")
        differences = (
            _intervals(
                _with_scale(matched, columns, ["value", "value_right"]),
                columns,
                change,
                level,
                difference=True,
            )
            .rename({"mean": "difference"})
            .join(before, on=columns)
            .join(after, on=columns)
        )
        counts = joined.group_by(*columns).agg(
            items=both.sum().cast(pl.Int64), unmatched=(~both).sum().cast(pl.Int64)
        )
        return (
            counts.join(differences, on=columns, how="left")
            .select(
                *columns, "before", "after", "difference", "lower", "upper", "items", "unmatched"
            )
            .sort(*columns)
        )

    def joined(self, other: "ScoreTable", *, allow_other_settings: bool = False) -> pl.DataFrame:
        """All rows of both tables side by side; ``both`` is true if a row is valid in both.

        Columns of ``other`` end in ``_right``.

        Raises:
            InputError: as ``paired`` does.
        """
        for table in (self, other):
            names = table.frame["checkpoint"].unique().to_list()
            if len(names) != 1:
                raise InputError(
                    f"a paired comparison needs one checkpoint a side, found {sorted(names)}",
                    "choose one: table.only(checkpoint=NAME)",
                )
            duplicates = table.frame.filter(pl.struct(_KEY).is_duplicated())
            if not duplicates.is_empty():
                item, task = duplicates["item"][0], duplicates["task"][0]
                raise InputError(
                    f"item {item!r} of task {task!r} is there more than once",
                    "keep one row per task, language, group, item and metric",
                )
        joined = _join(self.frame, other.frame)
        matched = joined.filter(pl.col("both"))
        if matched.is_empty():
            raise InputError(
                "the two tables share no item", _look_alike_hint(self.frame, other.frame)
            )
        differing = matched.filter(
            (pl.col("settings") != pl.col("settings_right"))
            | (pl.col("weight") != pl.col("weight_right"))
        )
        if not differing.is_empty() and not allow_other_settings:
            task = differing["task"][0]
            raise InputError(
                f"{differing.height} of {matched.height} items were scored with other settings"
                f" (first: task {task!r}{_what_differs(differing)})",
                "score both alike, or compare them all the same: --allow-other-settings",
            )
        return joined


def _name_wrong_text(path: Path) -> None:
    """Raise the error that names the row and the column of a text that is not UTF-8."""
    from polylect.rows.parquet import parquet_dicts

    for _ in parquet_dicts(path):
        pass


def _with_scale(frame: pl.DataFrame, columns: Sequence[str], values: list[str]) -> pl.DataFrame:
    """The rows with ``low`` and ``high``: the ends of their group's scale, null where it has none.

    A scale counts only where all values of the group lie on it. Zeros and ones throughout are a
    share, unless the metric is known to be a quantity without an upper end.
    """
    names = frame["metric"].unique().to_list()
    ranges = [metric_range(name) or (None, None) for name in names]
    known = pl.DataFrame(
        {"metric": names, "low": [low for low, _ in ranges], "high": [high for _, high in ranges],
         "open": [bool(_OPEN_ENDED.match(name)) for name in names]},
        {"metric": pl.String(), "low": pl.Float64(), "high": pl.Float64(), "open": pl.Boolean()},
    )  # fmt: skip
    rows = frame.join(known, on="metric", how="left", maintain_order="left")
    on_scale, binary = pl.lit(value=True), pl.lit(value=True)
    for name in values:
        on_scale &= pl.col(name).is_between("low", "high").all()
        binary &= pl.col(name).is_in([0.0, 1.0]).all()
    one_scale = pl.struct("low", "high").n_unique() == 1
    on_scale = (on_scale & one_scale & (pl.col("low").null_count() == 0)).over(*columns)
    binary = (binary & ~pl.col("open").any()).over(*columns)
    return rows.with_columns(
        low=pl.when(on_scale).then(pl.col("low")).when(binary).then(pl.lit(0.0)),
        high=pl.when(on_scale).then(pl.col("high")).when(binary).then(pl.lit(1.0)),
    )


def _intervals(
    rows: pl.DataFrame, columns: Sequence[str], value: pl.Expr, level: float, *, difference: bool
) -> pl.DataFrame:
    """``mean``, ``lower`` and ``upper`` of a value, or of the difference of two, per group."""
    weight, size = pl.col("weight"), pl.col("high") - pl.col("low")
    share = value / size if difference else (value - pl.col("low")) / size
    parts = [cluster_interval(rows.filter(pl.col("low").is_null()), columns, value, weight, level)]
    for (low, high), part in rows.filter(pl.col("low").is_not_null()).group_by(
        "low", "high", maintain_order=True
    ):
        bounds = share_interval(
            part, columns, share, weight, level, scale=(-1.0, 1.0) if difference else (0.0, 1.0)
        )
        start = 0.0 if difference else low
        parts.append(
            bounds.with_columns(
                (start + (high - low) * pl.col(name)).alias(name)
                for name in ("mean", "lower", "upper")
            )
        )
    return pl.concat([part.select(*columns, "mean", "lower", "upper") for part in parts])


def _join(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Outer join on the key; ``both`` is true if a row is valid and finite on both sides."""
    joined = before.join(after, on=_KEY, how="full", coalesce=True, validate="1:1")
    sides = [
        pl.col(f"value{side}").is_finite() & ~pl.col(f"invalid{side}") for side in ("", "_right")
    ]
    return joined.with_columns(both=(sides[0] & sides[1]).fill_null(value=False))


def _look_alike_hint(before: pl.DataFrame, after: pl.DataFrame) -> str:
    """What to do where no item is shared: names that look alike are not equal."""
    for column in ("task", "language", "group", "item"):
        names = pl.concat([before[column], after[column]]).drop_nulls().unique().to_list()
        if lines := look_alike_lines(f"values of {column!r}", names):
            return f"write alike what looks alike: {lines[0]}"
    return "score both on the same tasks and items"


def _what_differs(differing: pl.DataFrame) -> str:
    """Names of the settings that differ, if both sides are written ``name=value name=value``."""
    names: dict[str, None] = {}
    pairs = differing.select("settings", "settings_right").unique(maintain_order=True)
    for before, after in pairs.head(1000).rows():
        old, new = (dict(re.findall(r"(\w+)=(\S+)", text)) for text in (before, after))
        names |= {name: None for name in old if old[name] != new.get(name, old[name])}
    if (differing["weight"] != differing["weight_right"]).any():
        names["weight"] = None
    return f"; another {', '.join(names)}" if names else ""
