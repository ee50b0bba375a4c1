"""One side of a comparison: a folder or file of scores, ours or lm-evaluation-harness's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import InputError, Ledger
from polylect.comparison.lm_eval_logs import find_logs, read_logs
from polylect.comparison.metrics import Metrics
from polylect.rows import ScoreTable

SCORES = "scores.parquet"


@dataclass(frozen=True)
class ScoredModel:
    """Scores of one checkpoint, with where they come from.

    Attributes:
        path: what was given.
        name: of the checkpoint.
        table: its rows.
        kind: ``scores`` or ``lm_eval logs``.
        languages: for logs, the language that was read from each task's name.
        higher: metrics that the source says are better when higher.
        lower: metrics that it says are better when lower.
        settings: of the run, as far as the source tells them.
        ledger: what was left out on reading.
    """

    path: Path
    name: str
    table: ScoreTable
    kind: str
    languages: Mapping[str, str] = field(default_factory=dict)
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def named(self, name: str) -> "ScoredModel":
        """The same under another name."""
        frame = self.table.frame.with_columns(checkpoint=pl.lit(name))
        return replace(self, name=name, table=ScoreTable(frame))


def read_side(
    path: Path, name: str = "", languages: Mapping[str, str] | None = None
) -> ScoredModel:
    """The scores in a folder that ``polylect eval`` wrote, a score table, or lm_eval's logs.

    Args:
        path: the folder or file.
        name: what to call the checkpoint; empty takes the source's own.
        languages: language of tasks whose name does not tell, by name or pattern (logs only).

    Raises:
        InputError: nothing to read there, or several checkpoints.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", "check the path")
    file = path / SCORES if path.is_dir() else path
    if file.suffix == ".parquet" and file.is_file():
        table = ScoreTable.read(file)
        names = table.frame["checkpoint"].unique().sort().to_list()
        if len(names) != 1:
            raise InputError(
                f"{file}: {len(names)} checkpoints ({', '.join(names[:4])})",
                "a side of a comparison is one: write each to a file of its own",
            )
        side = ScoredModel(path, names[0], table, "scores")
        return side.named(name) if name else side
    logs = find_logs(path)
    if not logs:
        raise InputError(
            f"{path}: neither {SCORES} nor samples_*.jsonl",
            "give what 'polylect eval --out' or 'lm_eval --log_samples --output_path' wrote",
        )
    read = read_logs(logs, name, languages or {})
    return ScoredModel(
        path, read.model, read.table, "lm_eval logs", read.languages, read.higher, read.lower,
        read.settings, read.ledger,
    )  # fmt: skip


def read_sides(
    before: Path, after: Path, names: tuple[str, str], languages: Mapping[str, str]
) -> tuple[ScoredModel, ScoredModel]:
    """Both sides, under names that differ.

    Raises:
        InputError: as ``read_side``.
    """
    sides = [
        read_side(path, name, languages) for path, name in zip((before, after), names, strict=True)
    ]
    if sides[0].name == sides[1].name:
        sides = [one.named(f"{one.name} ({mark})") for one, mark in zip(sides, "AB", strict=True)]
    return sides[0], sides[1]


def with_directions(metrics: Metrics, sides: tuple[ScoredModel, ScoredModel]) -> Metrics:
    """The metrics, with the directions that the sources tell; what was typed wins."""
    typed = {*metrics.higher, *metrics.lower}
    told = [{*one.higher} - typed for one in sides], [{*one.lower} - typed for one in sides]
    higher, lower = set().union(*told[0]), set().union(*told[1])
    return replace(
        metrics,
        higher=(*metrics.higher, *sorted(higher - lower)),
        lower=(*metrics.lower, *sorted(lower - higher)),
    )
