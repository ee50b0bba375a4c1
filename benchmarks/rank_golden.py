"""Numbers of the peers that tests/unit/ranking/test_peers.py compares with.

    benchmarks/.envs/evalica/bin/python benchmarks/rank_golden.py evalica
    benchmarks/.envs/arena-rank/bin/python benchmarks/rank_golden.py arena-rank

The environments are those that benchmarks/rank.py makes. The votes: of models i < j, outcome v
(first won, second won, tie, both bad), (7 i + 11 j + 13 v + i j) mod 17 + 1.
"""

import sys

import numpy as np

ROWS = [
    (f"m{i}", f"m{j}", v)
    for i in range(6)
    for j in range(i + 1, 6)
    for v in range(4)
    for _ in range((7 * i + 11 * j + 13 * v + i * j) % 17 + 1)
]


def evalica_numbers() -> None:
    import evalica

    names = [evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw, evalica.Winner.Draw]
    left, right, outcome = zip(*ROWS, strict=True)
    winners = [names[v] for v in outcome]
    result = evalica.bradley_terry(left, right, winners, tolerance=1e-14, limit=100_000)
    elo = np.log(result.scores.sort_index()) * 400 / np.log(10)
    print("ratings", (elo - elo.mean()).tolist())


def arena_rank_numbers() -> None:
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    names = ["model_a", "model_b", "tie", "both_bad"]
    rows = [(a, b, names[v]) for a, b, v in ROWS]
    frame = pd.DataFrame(rows, columns=["model_a", "model_b", "winner"])
    data = PairDataset.from_pandas(frame)
    model = BradleyTerry(data.n_competitors, ftol=1e-16, gtol=1e-14)
    result = model.compute_ratings_and_cis(data)
    elo = np.array(result["ratings"])
    print("ratings", (elo - elo.mean()).tolist())
    half = (np.array(result["rating_upper"]) - np.array(result["rating_lower"])) / 2
    print("half-widths", half.tolist())


if __name__ == "__main__":
    {"evalica": evalica_numbers, "arena-rank": arena_rank_numbers}[sys.argv[1]]()
