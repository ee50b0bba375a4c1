"""Metrics of held-out preferences, as a score table that compare reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylect.rows import ScoreTable

TASK = "held-out"
SCORES = "scores.parquet"


def write_held_out(
    out: Path, items: Sequence[str], rows: Sequence[Mapping[str, Any]], method: str, scale: str
) -> None:
    """Write ``scores.parquet`` with the accuracy, margin and loss of every preference.

    Accuracies are of one kind; margins and losses are on the scale of their objective, and are
    compared only with their like.

    Args:
        out: the training's folder.
        items: id of every preference's row, by which ``compare`` pairs it with another training's.
        rows: one per preference, with ``language``, ``accuracy``, ``margin`` and ``loss``.
        method: the objective.
        scale: ``name=value`` settings that decide what a margin or a loss of 1 means.
    """
    table = ScoreTable.from_rows(
        [
            {
                "checkpoint": method,
                "task": TASK,
                "item": item,
                "language": row["language"],
                "metric": name,
                "value": float(row[key]),
                "settings": "" if name == "acc" else scale,
            }
            for item, row in zip(items, rows, strict=True)
            for name, key in (("acc", "accuracy"), ("margin", "margin"), ("loss", "loss"))
        ]
    )
    table.write(out / SCORES)
