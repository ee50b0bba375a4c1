"""The folder of an evaluation: what it holds, and what happens to an earlier one."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from polylect import __version__
from polylect.base import InputError, Ledger, atomic_file, digest_of, read_json, write_json
from polylect.checkpoints import Checkpoint
from polylect.evals.config import EvalConfig
from polylect.evals.evaluation import Evaluation
from polylect.evals.generating import Cell
from polylect.rows import ScoreTable

SCORES, CHOICES, ANSWERS, MANIFEST, VOLATILE = (
    "scores.parquet",
    "choices.parquet",
    "answers.parquet",
    "eval.json",
    "volatile.json",
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
        manifest = read_json(path / MANIFEST) if (path / MANIFEST).is_file() else {}
        if not isinstance(manifest, dict):
            raise InputError(f"{path / MANIFEST}: not an object", "evaluate again")
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
        "packages": {"polylect": __version__, **_versions()},
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


def finished(out: Path, description: dict[str, Any]) -> EvalFolder | None:
    """The evaluation in a folder, if it is just the described one."""
    if not (out / MANIFEST).is_file() or not (out / SCORES).is_file():
        return None
    found = EvalFolder.read(out)
    return found if found.manifest.get("key") == digest_of(description) else None


def save(
    out: Path,
    description: dict[str, Any],
    evaluation: Evaluation,
    ledger: Ledger,
    started: float,
) -> EvalFolder:
    """Write the folder; another evaluation's files that lie there move to ``earlier/KEY``.

    Args:
        out: the folder, made when it is missing.
        description: of ``describe``.
        evaluation: what was found.
        ledger: what was counted.
        started: ``time.monotonic()`` at the beginning.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    key = digest_of(description)
    if (out / MANIFEST).is_file():
        old = read_json(out / MANIFEST).get("key", "unknown")
        if old != key:
            aside = out / "earlier" / str(old)[:12]
            aside.mkdir(parents=True, exist_ok=True)
            for name in (SCORES, CHOICES, ANSWERS, MANIFEST, VOLATILE, "index.html"):
                if (out / name).is_file():
                    (out / name).replace(aside / name)
    evaluation.scores.write(out / SCORES)
    tables = [(CHOICES, evaluation.choices), (ANSWERS, evaluation.answers)]
    for name, frame in tables:
        # Choices were always written; answers are where something was generated.
        if name == CHOICES or not frame.is_empty():
            with atomic_file(out / name) as temporary:
                frame.write_parquet(temporary, compression="zstd")
    cpu = time.process_time()
    write_json(
        out / VOLATILE,
        {
            "work": evaluation.work,
            "seconds": time.monotonic() - started,
            "cpu_seconds": cpu,
            "machine": platform.machine(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
    # Last: a folder with a manifest is whole.
    told = {"key": key, **description, "ledger": ledger.to_json()}
    write_json(out / MANIFEST, told | ({"corpus": evaluation.corpus} if evaluation.corpus else {}))
    return EvalFolder.read(out)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
