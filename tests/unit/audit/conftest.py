import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from polylect.rank import PairCounts


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


def random_world(
    seed: int, num_models: int = 8, num_votes: int = 2000, tie: float = 0.3
) -> PairCounts:
    """Votes of a random world with ties that keep the expected score."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.6, num_models)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    win = 1 / (1 + np.exp(strength[b] - strength[a]))
    tied = rng.random(num_votes) < 2 * tie * np.minimum(win, 1 - win)
    share = np.where(win > 0.5, (win - tie * (1 - win)) / (1 - 2 * tie * (1 - win)), 0.0)
    share = np.where(win > 0.5, share, (win - tie * win) / (1 - 2 * tie * win))
    outcome = np.where(rng.random(num_votes) < share, 0, 1)
    outcome = np.where(tied, 2 + rng.integers(0, 2, num_votes), outcome)
    return PairCounts.from_cells([f"m{i}" for i in range(num_models)], a, b, outcome)


@pytest.fixture
def world():
    return random_world
