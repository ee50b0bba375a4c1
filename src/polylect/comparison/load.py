"""Scores of one model from a folder or file, ours or lm-evaluation-harness's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import InputError, Ledger, check_known, count_look_alikes
from polylect.comparison.lm_eval_logs import find_logs, read_logs
from polylect.comparison.metrics import Metrics
from polylect.rows import ScoreTable, base_name

SCORES = "scores.parquet"


@dataclass(frozen=True)
class ScoredModel:
    """Scores of one checkpoint, and where they come from.

    Attributes:
        path: the folder or file.
        name: of the checkpoint.
        table: its rows.
        kind: ``scores`` or ``lm_eval logs``.
        languages: for logs, the language read from each task's name.
        higher: metrics that the source says are better when higher.
        lower: metrics that it says are better when lower.
        settings: of the run, as far as the source has them.
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

    def renamed(self, name: str) -> "ScoredModel":
        """The same scores under another name of the checkpoint."""
        frame = self.table.frame.with_columns(checkpoint=pl.lit(name))
        return replace(self, name=name, table=ScoreTable(frame))


def input_files(path: Path) -> Path:
    """The part of a side's folder that its scores come from: the score table, or all logs."""
    return path / SCORES if (path / SCORES).is_file() else path


def read_model(
    path: Path, name: str = "", languages: Mapping[str, str] | None = None
) -> ScoredModel:
    """The scores in a folder of ``polylect eval``, in a score table, or in lm_eval's logs.

    Args:
        path: the folder or file.
        name: name of the checkpoint; empty takes the source's.
        languages: language of tasks whose name has none, by task or pattern (logs only).

    Raises:
        InputError: there are no scores, or those of several checkpoints.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", "check the path")
    file = input_files(path)
    if file.suffix == ".parquet" and file.is_file():
        table = ScoreTable.read(file)
        names = table.frame["checkpoint"].unique().sort().to_list()
        if len(names) != 1:
            raise InputError(
                f"{file}: {len(names)} checkpoints ({', '.join(names[:4])})",
                "a side of a comparison is one: write each to a file of its own",
            )
        model = ScoredModel(path, names[0], table, "scores")
        return model.renamed(name) if name else model
    logs = find_logs(path)
    if not logs:
        raise InputError(
            f"{path}: neither {SCORES} nor samples_*.jsonl",
            "give what 'polylect eval --out' or 'lm_eval --log_samples --output_path' wrote",
        )
    run = read_logs(logs, name, languages or {})
    return ScoredModel(
        path, run.model, run.table, "lm_eval logs", run.languages, run.higher, run.lower,
        run.settings, run.ledger,
    )  # fmt: skip


def read_models(
    before: Path, after: Path, names: tuple[str, str], languages: Mapping[str, str]
) -> tuple[ScoredModel, ScoredModel]:
    """Both models of a comparison, under names that differ.

    Raises:
        InputError: as ``read_model``.
    """
    first, second = (
        read_model(path, name, languages) for path, name in zip((before, after), names, strict=True)
    )
    for column in ("task", "language", "group"):
        parts = (model.table.frame[column].unique().drop_nulls() for model in (first, second))
        count_look_alikes(first.ledger, f"values of {column!r}", pl.concat(parts).to_list())
    if first.name != second.name:
        count_look_alikes(first.ledger, "models", (first.name, second.name))
        return first, second
    return first.renamed(f"{first.name} (A)"), second.renamed(f"{second.name} (B)")


def check_used(
    languages: Mapping[str, str], metrics: Metrics, models: tuple[ScoredModel, ScoredModel]
) -> None:
    """Refuse a language, or a direction, of something that neither side has.

    Args:
        languages: by task or pattern; they say nothing of a score table, whose rows have theirs.
        metrics: with the directions that the user gave.
        models: both sides.

    Raises:
        InputError: names it, and what there is.
    """
    tasks = sorted({task for model in models for task in model.languages})
    for pattern in languages:
        if not any(fnmatchcase(task, pattern) for task in tasks):
            hint = f"there are {', '.join(tasks)}" if tasks else "a score table has its languages"
            raise InputError(
                f"--task-languages {pattern}: no task of lm_eval's logs is called so", hint
            )
    names = {name for model in models for name in model.table.frame["metric"].unique()}
    names |= set(map(base_name, names))
    for option, given in (("higher", metrics.higher), ("lower", metrics.lower)):
        for name in given:
            check_known(name, sorted(names), f"--{option}-is-better {name}: no such metric",
                        "there are")  # fmt: skip


def with_directions(metrics: Metrics, models: tuple[ScoredModel, ScoredModel]) -> Metrics:
    """The metrics with the directions that the sources state; those given already win."""
    given = {*metrics.higher, *metrics.lower}
    higher = {name for model in models for name in model.higher} - given
    lower = {name for model in models for name in model.lower} - given
    return replace(
        metrics,
        higher=(*metrics.higher, *sorted(higher - lower)),
        lower=(*metrics.lower, *sorted(lower - higher)),
    )
