"""What happened in an update: means over its examples, of all and by language."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def summary(rows: Sequence[Mapping[str, Any]], unit: str = "pairs") -> dict[str, Any]:
    """Means of every number of the rows, their count under ``unit``, and both ``by_language``.

    Args:
        rows: at least one; each with ``language`` and the same numbers.
        unit: what a row is.
    """
    tags = sorted({row["language"] for row in rows})
    return {
        **_means(rows, unit),
        "by_language": {
            tag: _means([row for row in rows if row["language"] == tag], unit) for tag in tags
        },
    }


def _means(rows: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    keys = [key for key in rows[0] if key != "language"]
    return {key: float(np.mean([row[key] for row in rows])) for key in keys} | {unit: len(rows)}
