"""Agreement with other packages; their numbers are recorded by benchmarks/rank_golden.py."""

import numpy as np
import pytest

from polylect.ranking import PairCounts, fit_bradley_terry

# evalica 0.4.2, bradley_terry at tolerance 1e-14.
EVALICA = [
    32.988098597320125, 20.747526326706417, -21.097491205362385,
    21.68709508326719, -49.47553695267266, -4.849691849258684,
]  # fmt: skip
# arena-rank 0.1.1 at ftol 1e-16, gtol 1e-14; its sandwich has a ridge of 1e-5 per vote.
ARENA_RANK = [
    32.98809859733592, 20.747526326620118, -21.0974912051787,
    21.687095083284703, -49.47553695267413, -4.849691849388023,
]  # fmt: skip
ARENA_RANK_HALF_WIDTHS = [
    27.712186743207155, 30.52300580006704, 29.818844356860268,
    28.69066387130107, 30.04798671161319, 26.94598752634556,
]  # fmt: skip


def test_the_peers_numbers():
    cells = [
        (i, j, v, (7 * i + 11 * j + 13 * v + i * j) % 17 + 1)
        for i in range(6)
        for j in range(i + 1, 6)
        for v in range(4)
    ]
    counts = PairCounts.from_cells([f"m{i}" for i in range(6)], *np.array(cells).T)
    ratings = fit_bradley_terry(counts)
    assert ratings.elo == pytest.approx(EVALICA, abs=1e-9)
    assert ratings.elo == pytest.approx(ARENA_RANK, abs=1e-8)
    lower, upper = ratings.bounds
    assert (upper - lower) / 2 == pytest.approx(ARENA_RANK_HALF_WIDTHS, rel=2e-4)
