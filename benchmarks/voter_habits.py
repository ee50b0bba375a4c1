"""Who the directed test flags, and whom `audit` names: honest voters with habits, and riggers.

    python benchmarks/voter_habits.py draw 20 FOLDER     p-values of 1,000 voters of each habit
    python benchmarks/voter_habits.py draw 100 FOLDER
    python benchmarks/voter_habits.py table FOLDER       the tables of benchmarks/logs/audit.md

On the real counts of the 2024-08-14 Chatbot Arena file (PyPI package leaderbot 0.4.3). Riggers are
omnipresent: half push the rating of their target, half its lead over the model above; 20 targets.
`draw` keeps what FOLDER has and may run in several processes.
"""

import sys
import time
from pathlib import Path

import numpy as np
from audit import interval, some_targets
from rank_simulations import arena as real_counts
from scipy.stats import binomtest

from polylect.auditing import (
    Attack,
    Habits,
    SimulatedArena,
    VoterTest,
    ballots,
    directed_test,
    honest_votes,
    rig_board,
)
from polylect.base import generator
from polylect.ranking import fit_bradley_terry
from polylect.stats import holm

LEVEL = 0.01
NUM = 1000
DRAWS = 1999
RIGGERS = "riggers"
_NUM_WORLDS = 20
HABITS = {
    "none": Habits(),
    "never ties": Habits(ties="never"),
    "a coin instead of ties": Habits(ties="coin"),
    "ties often": Habits(ties="often"),
    "ties what is close": Habits(ties="close"),
    "never both bad": Habits(both_bad=False),
    "side A in 30 %": Habits(side=0.3),
    "side A always": Habits(side=1.0),
    "tires: random clicks": Habits(tires=1.0),
    "tires: side A": Habits(tires_to_side=1.0),
    "random clicks only": Habits(ties="never", tires=20.0),
    "higher rated in 30 %": Habits(fashion=0.3),
    "higher rated always": Habits(fashion=1.0),
    "better known in 30 %": Habits(known=0.3),
    "better known always": Habits(known=1.0),
    "one language": Habits(language=0.5),
    "never ties, side A, tires": Habits(ties="never", side=0.3, tires=0.5),
    "never ties, one language, follows": Habits(ties="never", language=0.5, fashion=0.2),
    "lower rated in 30 %": Habits(underdog=0.3),
    "lower rated always": Habits(underdog=1.0),
    "less known in 30 %": Habits(unknown=0.3),
    "less known always": Habits(unknown=1.0),
}


def p_values(sim: SimulatedArena, name: str, num_votes: int) -> np.ndarray:
    """(NUM, 2) of voters with a habit, or of riggers: target known, target unknown."""
    if name == RIGGERS:
        return rigger_p_values(sim, num_votes)
    seed = 1000 + list(HABITS).index(name)
    table = sim.honest_table(NUM, num_votes, seed, HABITS[name])
    counts = sim.counts.merged(table.counts())
    fit = fit_bradley_terry(counts, start=sim.fit.strength, check=False)
    votes = ballots(table, honest_votes(counts))
    target = some_targets(sim, 100, 5)[seed % 100]
    tests = [directed_test(votes, fit, aim, num_draws=DRAWS) for aim in (target, None)]
    return np.column_stack([test.p_value for test in tests])


def rigger_p_values(sim: SimulatedArena, num_votes: int) -> np.ndarray:
    rows = []
    num_each = 25 if num_votes < 50 else 5
    for seed, target in enumerate(some_targets(sim, 20, 11)):
        for rivals in (0, 1):
            attack = Attack(
                target=target, num_accounts=num_each, rivals=rivals, votes_per_account=num_votes
            )
            board = rig_board(sim, attack, 1, 100 * seed + rivals)
            tests = [
                directed_test(board.votes, board.fit, aim, num_draws=DRAWS)
                for aim in (target, None)
            ]
            rows.append(np.column_stack([test.p_value for test in tests])[board.is_rigger])
    return np.concatenate(rows)


def draw(num_votes: str, folder: str) -> None:
    sim = SimulatedArena(real_counts())
    for name in (RIGGERS, *HABITS):
        file = Path(folder) / f"{num_votes} {name}.npy"
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            continue
        start = time.process_time()
        np.save(file, p_values(sim, name, int(num_votes)))
        print(f"{file.stem}: {time.process_time() - start:.0f} CPU s", flush=True)


def table(folder: str) -> None:
    files = {file.stem: file for file in Path(folder).glob("*.npy") if file.stat().st_size}
    cells, tails, p_of = [], [], {}
    for stem, file in files.items():
        num_votes, name = stem.split(" ", 1)
        p_of[int(num_votes), name] = np.load(file)
    for num_votes in (20, 100):
        for j, aim in enumerate(("known", "unknown")):
            riggers = p_of[num_votes, RIGGERS][:, j]
            print(f"{num_votes} votes, target {aim}: riggers at p ≤ 0.01", end=" ")
            print(interval(float((riggers <= LEVEL).mean()), len(riggers)))
    for name in HABITS:
        row = []
        for num_votes in (20, 100):
            if (num_votes, name) not in p_of:
                continue
            for num in (p_of[num_votes, name] <= LEVEL).sum(0):
                cells.append((num_votes, name, int(num)))
                tails.append(binomtest(int(num), NUM, LEVEL, alternative="greater").pvalue)
                row.append(f"{num / NUM:.1%}")
        print(f"| {name} | {' | '.join(row)} |")
    adjusted = holm(np.array(tails))
    print(f"{len(cells)} cells, most {max(cells, key=lambda cell: cell[2])}; smallest p by Holm")
    print(f"  {adjusted.min():.3f}; rejected at 5 %: {(adjusted <= 0.05).sum()}")
    names(p_of)


def names(p_of: dict) -> None:
    """Of the voters that `audit` would name (target unknown), how many are honest."""
    rng = generator(0, "mixtures of habits")
    for num_votes in (20, 100):
        honest = [p_of[num_votes, n][:, 1] for n in HABITS if (num_votes, n) in p_of]
        riggers = p_of[num_votes, RIGGERS][:, 1]
        mixtures = list(np.eye(len(honest))) + list(rng.dirichlet(np.ones(len(honest)) / 3, 60))
        for num_riggers in (0, 50, 100, 300):
            shares, found = [], []
            for weights in mixtures:
                hits = np.zeros(2)
                for _ in range(_NUM_WORLDS):
                    kinds = rng.multinomial(NUM - num_riggers, weights)
                    drawn = [rng.choice(p, num) for p, num in zip(honest, kinds, strict=True)]
                    replace = len(riggers) < num_riggers
                    p = np.concatenate([*drawn, rng.choice(riggers, num_riggers, replace)])
                    blank = np.zeros(len(p))
                    named = VoterTest("", ("",) * len(p), blank, blank, p, ("",) * len(p))
                    is_named = named.discovered()
                    hits += is_named[: NUM - num_riggers].sum(), is_named.sum()
                shares.append(hits[0] / max(hits[1], 1))
                found.append((hits[1] - hits[0]) / max(num_riggers, 1) / _NUM_WORLDS)
            print(
                f"{num_votes} votes, {num_riggers} riggers of {NUM} voters, {len(mixtures)} "
                f"mixtures: honest among the named {np.mean(shares):.1%} on average, "
                f"{np.max(shares):.1%} in the worst mixture; riggers named "
                f"{np.mean(found):.1%}"
            )


if __name__ == "__main__":
    {"draw": draw, "table": table}[sys.argv[1]](*sys.argv[2:])
