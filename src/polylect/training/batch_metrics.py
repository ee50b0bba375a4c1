"""Metrics of a step: means over its examples, of all and by language."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def batch_means(rows: Sequence[Mapping[str, Any]], unit: str = "pairs") -> dict[str, Any]:
    """Means of every number of the rows, their count under ``unit``, and both ``by_language``.

    Example:
        >>> batch_means([{"language": "de", "loss": 1.0}, {"language": "tr", "loss": 3.0}])
        {'loss': 2.0, 'pairs': 2, 'by_language': {'de': {'loss': 1.0, 'pairs': 1}, \
'tr': {'loss': 3.0, 'pairs': 1}}}

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
