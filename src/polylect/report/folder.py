"""What a page reads from a run's folder, and how it writes numbers."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import CODE, LANGUAGES, OTHER_LANGUAGES, Language, read_json
from polylect.report.page import Html, language_cell, link
from polylect.runs import MANIFEST, read_run


@dataclass(frozen=True)
class Folder:
    """A finished lifecycle's folder.

    Attributes:
        path: where it lies.
    """

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        return read_run(self.path)

    def step(self, label: str) -> Path:
        """The folder of a step."""
        return self.path / self.manifest["steps"][label]["folder"]

    def proof(self, label: str) -> str:
        """Link from the page to the manifest of a step."""
        return f"{self.manifest['steps'][label]['folder']}/{MANIFEST}"

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """Every comparison in words."""
        return read_json(self.step("findings") / "findings.json")

    def table(self, label: str, name: str) -> pl.DataFrame:
        """A table that a step wrote."""
        return pl.read_parquet(self.step(label) / name)

    @cached_property
    def trainings(self) -> list[str]:
        """Labels of the trainings, in the order of the manifest, the base first."""
        labels = [one for one in self.manifest["steps"] if self.metrics_path(one).is_file()]
        return sorted(labels, key=lambda one: (one != "base", one.startswith("rival"), one))

    def metrics_path(self, label: str) -> Path:
        """Where a training's metrics lie."""
        return self.step(label) / "metrics.jsonl"


def metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``, with the tokens ``seen`` so far."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    seen = 0
    for row in rows:
        seen += row["tokens"]
        row["seen"] = seen
    return rows


def smooth(points: list[tuple[float, float]], width: int = 25) -> list[tuple[float, float]]:
    """Running mean over up to ``width`` points, so that a curve can be read."""
    found = []
    for i, (x, _) in enumerate(points):
        part = [y for _, y in points[max(0, i - width + 1) : i + 1]]
        found.append((x, sum(part) / len(part)))
    return found


def language_of(label: str) -> Language:
    """The language of a tag in a table; what is no tag stands for itself, with no script."""
    known = {CODE.tag: CODE, **OTHER_LANGUAGES, **LANGUAGES}
    return known.get(label) or Language(label, label, label, "Zyyy", "none", "none", -1)


def cell_of(label: str) -> Html:
    """A table's cell with the language of a tag."""
    return language_cell(language_of(label))


def minus(text: str) -> str:
    """Text whose negative numbers have a true minus."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\u2212", text)


def signed(value: float, digits: int) -> str:
    """The number with its sign, a true minus included; ∞ where nothing is known."""
    return f"{value:+.{digits}f}".replace("-", "\u2212").replace("inf", "∞")


def number(value: float | None, target: str, *, percent: bool = False) -> Html:
    """A number that links to what made it; a dash where there is none."""
    if value is None:
        return Html("–")
    return link(f"{100 * value:.1f} %" if percent else f"{value:.2f}", target)
