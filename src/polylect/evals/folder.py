"""The folder of an evaluation: its description, its files, and how they are read."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect import __version__
from polylect.base import InputError, atomic_file, digest_of, write_json
from polylect.checkpoints import Checkpoint
from polylect.evals.config import EvalConfig
from polylect.evals.evaluation import Evaluation
from polylect.evals.generating import Cell
from polylect.rows import ScoreTable
from polylect.runs import VOLATILE, StepContext, package_versions, read_manifest

SCORES, CHOICES, ANSWERS, MANIFEST = (
    "scores.parquet",
    "choices.parquet",
    "answers.parquet",
    "eval.json",
)
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


@dataclass(frozen=True)
class EvalFolder:
    """A finished evaluation.

    Attributes:
        path: its folder.
        manifest: what ``eval.json`` holds: key, name, digest of the checkpoint, what was asked,
            the engine, the ledger.
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
            raise InputError(f"{path}: no {SCORES}", f"polylect eval CHECKPOINT --out {path}")
        manifest = read_manifest(path / MANIFEST) if (path / MANIFEST).is_file() else {}
        return cls(path, manifest, ScoreTable.read(path / SCORES))


def describe(cells: Sequence[Cell], checkpoint: Checkpoint, config: EvalConfig) -> dict[str, Any]:
    """What an evaluation is: equal descriptions give equal rows. Its digest is the key."""
    engine = config.engine
    return {
        "name": config.name,
        "checkpoint": checkpoint.digest,
        "engine": {
            "dtype": engine.dtype,
            "device": engine.device,
            "threads": engine.threads,
            "memory_mib": engine.memory_mib,
            "max_tokens": engine.max_tokens,
            "over_long": engine.over_long,
            "add_bos": engine.add_bos,
        },
        "packages": {"polylect": __version__, **package_versions(_PACKAGES)},
        "limit": config.limit,
        "asked": [
            {
                "task": cell.task.label,
                "language": cell.language,
                "items": len(cell.items),
                "requests": len(cell.asked) or len(cell.prompts),
                "digest": digest_of(
                    [[r.context, r.continuation] for r in cell.asked] + list(cell.prompts)
                ),
                **cell.settings,
            }
            for cell in cells
        ],
    }


def save(context: StepContext, description: dict[str, Any], evaluation: Evaluation) -> EvalFolder:
    """Write the files of an evaluation into the folder of a step.

    Args:
        context: of the step; its ledger goes into the manifest.
        description: of ``describe``.
        evaluation: rows, choices and answers.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    out = context.out
    evaluation.scores.write(out / SCORES)
    tables = [(CHOICES, evaluation.choices), (ANSWERS, evaluation.answers)]
    for name, frame in tables:
        # Choices were always written; answers are where something was generated.
        if name == CHOICES or not frame.is_empty():
            with atomic_file(out / name) as temporary:
                frame.write_parquet(temporary, compression="zstd")
    write_json(context.work / VOLATILE, {"work": evaluation.work, "machine": platform.machine()})
    manifest = {"key": digest_of(description), **description, "ledger": context.ledger.to_json()}
    if evaluation.corpus:
        manifest["corpus"] = evaluation.corpus
    write_json(out / MANIFEST, manifest)
    return EvalFolder.read(out)
