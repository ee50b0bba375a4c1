"""The folder of an evaluation: its description and its files."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylect._version import __version__
from polylect.base import InputError, atomic_file, digest_of, plain, write_json
from polylect.checkpoints import Checkpoint
from polylect.evals.config import EvalConfig
from polylect.evals.evaluation import Evaluation
from polylect.evals.prepared import PreparedTask
from polylect.rows import ScoreTable
from polylect.runs import VOLATILE, StepContext, package_versions, read_manifest

SCORES, CHOICES, ANSWERS = "scores.parquet", "choices.parquet", "answers.parquet"
MANIFEST = "eval.json"
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


@dataclass(frozen=True)
class EvalFolder:
    """A finished evaluation.

    Attributes:
        path: its folder.
        manifest: of ``eval.json``: key, name, digest of the checkpoint, tasks, engine, ledger, and
            every metric with its chance level by language (null where guessing has no score).
        scores: its rows.
    """

    path: Path
    manifest: dict[str, Any]
    scores: ScoreTable

    @classmethod
    def read(cls, path: Path) -> "EvalFolder":
        """The evaluation in a folder.

        Raises:
            InputError: there is none, or a file is broken.
        """
        if not (path / SCORES).is_file():
            raise InputError(
                f"{path}: no {SCORES}", f"polylect eval CHECKPOINT --tasks NAME --out {path}"
            )
        manifest = read_manifest(path / MANIFEST) if (path / MANIFEST).is_file() else {}
        return cls(path, manifest, ScoreTable.read(path / SCORES))


def describe_evaluation(
    tasks: Sequence[PreparedTask], checkpoint: Checkpoint, config: EvalConfig
) -> dict[str, Any]:
    """Everything that decides the rows of an evaluation. Its digest is the key."""
    return {
        "name": config.name,
        "checkpoint": checkpoint.digest,
        "engine": plain(config.engine),
        "packages": {"polylect": __version__, **package_versions(_PACKAGES)},
        "limit": config.limit,
        "asked": [
            {
                "task": task.task.label,
                "language": task.language,
                "items": len(task.items),
                "requests": len(task.requests) or len(task.prompts),
                "digest": digest_of(
                    [[r.context, r.continuation] for r in task.requests] + list(task.prompts)
                ),
                **task.settings,
            }
            for task in tasks
        ],
    }


def _metrics(scores: ScoreTable) -> list[dict[str, Any]]:
    """Every metric of every task at its version, and its chance level in each language."""
    levels = (
        scores.frame.group_by("task", "metric", "language")
        .agg(chance=pl.col("chance").mean())
        .sort("task", "metric", "language")
    )
    return [
        {"task": task, "metric": metric, "chance": dict(part.select("language", "chance").rows())}
        for (task, metric), part in levels.group_by("task", "metric", maintain_order=True)
    ]


def save_evaluation(
    context: StepContext, description: dict[str, Any], evaluation: Evaluation
) -> EvalFolder:
    """Write the files of an evaluation into the folder of a step.

    Args:
        context: of the step; its ledger goes into the manifest.
        description: of ``describe_evaluation``.
        evaluation: rows, choices and answers.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    out = context.out
    evaluation.scores.write(out / SCORES)
    for name, frame in ((CHOICES, evaluation.choices), (ANSWERS, evaluation.answers)):
        # Choices are always written, answers only if something was generated.
        if name == CHOICES or not frame.is_empty():
            with atomic_file(out / name) as temporary:
                frame.write_parquet(temporary, compression="zstd")
    write_json(context.work / VOLATILE, {"work": evaluation.work, "machine": platform.machine()})
    manifest = {"key": digest_of(description), **description, "ledger": context.ledger.to_json()}
    manifest["metrics"] = _metrics(evaluation.scores)
    if evaluation.corpus:
        manifest["corpus"] = evaluation.corpus
    write_json(out / MANIFEST, manifest)
    return EvalFolder.read(out)
