"""Metrics of held-out preferences, as a score table that compare reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylect.rows import ScoreTable

TASK = "held-out"
SCORES = "scores.parquet"


def write_held_out(out: Path, rows: Sequence[Mapping[str, Any]], method: str) -> None:
    """Write ``scores.parquet`` with the accuracy, margin and loss of every preference.

    Args:
        out: the training's folder.
        rows: one per preference, in the order of the file, with ``language``, ``accuracy``,
            ``margin`` and ``loss``.
        method: the objective.
    """
    table = ScoreTable.from_rows(
        [
            {
                "checkpoint": method,
                "task": TASK,
                "item": f"{number:06d}",
                "language": row["language"],
                "metric": name,
                "value": float(row[key]),
            }
            for number, row in enumerate(rows)
            for name, key in (("acc", "accuracy"), ("margin", "margin"), ("loss", "loss"))
        ]
    )
    table.write(out / SCORES)
