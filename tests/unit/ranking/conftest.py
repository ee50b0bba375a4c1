import numpy as np
import pytest

from polylect.ranking import PairCounts


def random_counts(
    seed: int, num_models: int = 8, num_votes: int = 2000, tie: float = 0.3
) -> PairCounts:
    """Votes of a random world with ties, every model in it."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.6, num_models)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    win = 1 / (1 + np.exp(strength[b] - strength[a]))
    draw = rng.random(num_votes)
    outcome = np.where(rng.random(num_votes) < win, 0, 1)
    outcome = np.where(draw < tie, 2 + (draw < tie / 2), outcome)
    return PairCounts.from_cells([f"m{i}" for i in range(num_models)], a, b, outcome)


@pytest.fixture
def world():
    return random_counts
