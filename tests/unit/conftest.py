"""The real counts of a public arena, for the ranking and the audit."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from polylect.ranking import PairCounts


@pytest.fixture(scope="session")
def arena() -> PairCounts:
    """Real counts of the 2024-08-14 Chatbot Arena file; skips where leaderbot is not installed."""
    spec = importlib.util.find_spec("leaderbot")
    if spec is None or spec.origin is None:
        pytest.skip("leaderbot is not installed")
    file = Path(spec.origin).parent / "data" / "chatbotarena_20240814.json"
    data = json.loads(file.read_text())
    pairs, cells = np.array(data["X"]), np.array(data["Y"], float)
    return PairCounts.from_cells(
        data["models"],
        np.repeat(pairs[:, 0], 4),
        np.repeat(pairs[:, 1], 4),
        np.tile(np.arange(4), len(pairs)),
        cells.ravel(),
    )
