"""What a comparison found: tables per task, language and group, and their wording."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, atomic_file, read_json
from polylect.comparison.language_groups import ALL_LANGUAGES
from polylect.comparison.sentences import describe

_TABLES = {"cell": "cells", "language": "languages", "group": "groups"}
"""Tables by the word in column ``of``."""


@dataclass(frozen=True)
class Comparison:
    """Paired differences, per task and language, per language, and per group of languages.

    A **gain** is an improvement: above 0 is better whichever way the metric counts. ``change`` is
    the gain as it is printed, in ``unit``: relative to the first checkpoint (``%``, a fraction of
    it) for bits, losses and perplexities, whose scale differs between languages; else the gain
    itself (``points`` for shares, a fraction of the items). ``change_lower`` and ``change_upper``
    bound it and hold for all rows of a table at once; the verdict follows from them: ``paid``
    (upper < 0), ``gained`` (lower > 0), ``not separable``. Rows are sorted by metric, then by
    change, worst-hurt first. Where neither model's own interval lies above the score of guessing,
    the verdict is ``at chance``: such rows are not ranked and stand behind the others.

    Attributes:
        before: name of the first checkpoint.
        after: name of the second.
        cells: a row per metric, task and language: before, after (weighted means), difference
            (after − before), gain, lower, upper, change, change_lower, change_upper, unit,
            verdict, relative (difference / before), chance,
            near_chance (the baseline's own interval reaches down to chance), at_chance (so do both
            models'), items, clusters,
            unmatched, truncated, worse and better (items that changed), p (exact McNemar; shares
            only), p_holm (adjusted over all cells), items_needed (to separate the gain seen, were
            it the truth, in 80 of 100 comparisons), detectable (the gain that this number of items
            separates in 80 of 100, in the unit of the change; null where the scale ends before),
            lower_is_better.
        languages: a row per metric and language, the unweighted mean over its tasks: the columns
            of ``cells`` without chance and p; tasks (their number); near_chance and at_chance are
            numbers of tasks; relative with relative_lower and relative_upper, simultaneous as well
            (infinite where the baseline of a cell is not separable from 0).
        groups: a row per metric and group of languages, the unweighted mean over its languages:
            kind, group, num_languages, thin (cells of fewer than four clusters, whose own standard
            error is unknown), and the columns of ``languages``.
        gaps: a row per metric: how much more the second half of the languages gained, or paid, than
            the first (Latin-script Indo-European against all others): first, second, relative (of
            the second less that of the first, signed so that below 0 the second pays more),
            relative_lower, relative_upper, verdict. Empty if groups were given or a half is empty.
        level: of all intervals.
        ledger: what was left out, unmatched, invalid or truncated.
        settings: how the comparison was made.
    """

    before: str
    after: str
    cells: pl.DataFrame
    languages: pl.DataFrame
    groups: pl.DataFrame
    gaps: pl.DataFrame
    level: float
    ledger: Ledger = field(default_factory=Ledger)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Names of the compared metrics, sorted."""
        return self.languages["metric"].unique().sort().to_list()

    def sentence(self, metric: str | None = None) -> str:
        """Who gained, who paid, who cannot be told apart and how many items that would take.

        Args:
            metric: of this metric only; by default of all, after the names of the checkpoints.
        """
        if metric is None:
            parts = " ".join(self.sentence(name) for name in self.metrics)
            return f"{self.after} against {self.before}: {parts}"
        rows, kind = self.claims(metric)
        everyone = (pl.col("group") == ALL_LANGUAGES) & (pl.col("metric") == metric)
        mean = self.groups.filter(everyone).row(0, named=True)
        name = f"{metric}: " if len(self.metrics) > 1 else ""
        return name + describe(rows, kind, mean)

    def claims(self, metric: str) -> tuple[pl.DataFrame, str]:
        """The rows that may have paid, and their kind, ``language`` or ``task``.

        Languages, or the tasks where there is a single language with several.
        """
        rows = self.languages.filter(pl.col("metric") == metric)
        cells = self.cells.filter((pl.col("metric") == metric) & (pl.col("items") > 0))
        if rows.height == 1 and cells.height > 1:
            return cells, "task"
        return rows, "language"

    def rows(self) -> pl.DataFrame:
        """``cells``, ``languages`` and ``groups`` in one table.

        Column ``of`` is ``cell``, ``language`` or ``group``.
        """
        named = [
            getattr(self, name).with_columns(
                pl.col("near_chance", "at_chance").cast(pl.Int64), of=pl.lit(of)
            )
            for of, name in _TABLES.items()
        ]
        return pl.concat(named, how="diagonal").select("of", pl.exclude("of"))

    def write(self, path: Path) -> None:
        """Write ``rows`` as Parquet; the file appears whole or not at all."""
        with atomic_file(path) as temporary:
            self.rows().write_parquet(temporary, compression="zstd")

    @classmethod
    def read(cls, folder: Path) -> "Comparison":
        """The comparison in a folder of 'polylect compare'.

        Raises:
            InputError: there is none.
        """
        data = read_json(folder / "compare.json")
        rows = pl.read_parquet(folder / "compare.parquet")
        tables = {name: rows.filter(pl.col("of") == of).drop("of") for of, name in _TABLES.items()}
        return cls(
            before=data["before"],
            after=data["after"],
            gaps=pl.DataFrame(data["gaps"]),
            level=data["level"],
            ledger=Ledger.from_json(data["ledger"]),
            settings=data["settings"],
            **tables,
        )

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; an infinite bound is null."""
        tables = {"cells": self.cells, "languages": self.languages, "groups": self.groups,
                  "gaps": self.gaps}  # fmt: skip
        return {
            "before": self.before,
            "after": self.after,
            "level": self.level,
            "sentence": self.sentence(),
            "settings": dict(self.settings),
            "ledger": self.ledger.to_json(),
        } | {
            name: [_finite(row) for row in table.iter_rows(named=True)]
            for name, table in tables.items()
        }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
