"""What a page reads from a run's folder."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.runs import MANIFEST, VOLATILE, read_run


@dataclass(frozen=True)
class Folder:
    """The folder of a finished run.

    Attributes:
        path: of the folder.
    """

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        return read_run(self.path)

    def step(self, label: str) -> Path:
        """The folder of a step."""
        return self.path / self.relative(label)

    def relative(self, label: str) -> str:
        """The folder of a step, relative to the page."""
        return self.manifest["steps"][label]["folder"]

    def proof(self, label: str) -> str:
        """Link from the page to the manifest of a step."""
        return f"{self.relative(label)}/{MANIFEST}"

    def costs(self, label: str) -> str:
        """Link from the page to what a step took in time and memory."""
        return f"{self.relative(label)}/{VOLATILE}"

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """Every comparison of a lifecycle in words."""
        return read_json(self.step("findings") / "findings.json")

    def table(self, label: str, name: str) -> pl.DataFrame:
        """A table that a step wrote."""
        return pl.read_parquet(self.step(label) / name)

    @cached_property
    def trainings(self) -> list[str]:
        """Labels of the trainings: the base, the experts, the rivals."""
        labels = [label for label in self.manifest["steps"] if self.metrics_path(label).is_file()]
        return sorted(labels, key=lambda label: (label != "base", label.startswith("rival"), label))

    def metrics_path(self, label: str) -> Path:
        """The file of a training's metrics."""
        return self.step(label) / "metrics.jsonl"


def metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``, with the number of tokens ``seen`` so far."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    seen = 0
    for row in rows:
        seen += row["tokens"]
        row["seen"] = seen
    return rows


def smooth(points: list[tuple[float, float]], width: int = 25) -> list[tuple[float, float]]:
    """Running mean over up to ``width`` points."""
    smoothed = []
    for i, (x, _) in enumerate(points):
        part = [y for _, y in points[max(0, i - width + 1) : i + 1]]
        smoothed.append((x, sum(part) / len(part)))
    return smoothed
