"""The figures of docs/log-audit.md, on the real counts of the 2024-08-14 Chatbot Arena file.

    python benchmarks/audit.py power|mixed|replays|gains|fragility|sampling|holes

Each prints its CPU seconds. The counts come from the PyPI package leaderbot 0.4.3.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np

from polylect.audit.directed import STATISTICS, directed_test, surprise_test
from polylect.audit.fragility import fragility
from polylect.audit.rigging import Arena, Attack, rank_gain, replay, stage
from polylect.audit.voters import arena_test, martingale_test
from polylect.base import generator
from polylect.rank import PairCounts, fit_bradley_terry

LEVEL = 0.01


def real_counts() -> PairCounts:
    spec = importlib.util.find_spec("leaderbot")
    if spec is None or spec.origin is None:
        sys.exit("leaderbot is not installed: pip install leaderbot==0.4.3")
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


def some_targets(arena: Arena, num: int, seed: int) -> list[str]:
    rng = generator(seed, "targets")
    return [arena.fit.models[i] for i in rng.permutation(len(arena.fit.models))[:num]]


def interval(hits: float, num: int) -> str:
    from scipy.stats import beta

    k = round(hits * num)
    low = beta.ppf(0.025, k, num - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, num - k) if k < num else 1.0
    return f"{hits:6.1%} ({low:.1%} … {high:.1%})"


def tests_of(scene, target):
    yield arena_test(scene.votes)
    yield martingale_test(scene.votes)
    yield martingale_test(scene.votes, ties="published")
    yield surprise_test(scene.votes, num_draws=1999)
    for statistic in STATISTICS:
        yield directed_test(scene.votes, scene.fit, target, statistic, num_draws=1999)
    for statistic in STATISTICS:
        yield directed_test(scene.votes, scene.fit, None, statistic, num_draws=1999)


def tabulate(arena: Arena, attacks, num_targets: int, num_each: int, label: str) -> None:
    """Power and false flags of every test, over several targets."""
    sums: dict[str, list[float]] = {}
    num = 0
    for seed, target in enumerate(some_targets(arena, num_targets, 11)):
        for attack in attacks(target, num_each):
            scene = stage(arena, attack, num_each, seed)
            num += num_each
            for test in tests_of(scene, target):
                flagged = test.flagged(LEVEL)
                row = sums.setdefault(test.name, [0.0, 0.0])
                row[0] += flagged[scene.is_rigger].sum()
                row[1] += flagged[~scene.is_rigger].sum()
    print(f"\n{label}: {num} riggers, {num} honest voters")
    for name, (found, false) in sums.items():
        print(f"  {name:38} found {interval(found / num, num)}  false {interval(false / num, num)}")


def power() -> None:
    arena = Arena(real_counts())

    def omnipresent(target, num):
        for rivals in (0, 1):
            yield Attack(target=target, num_accounts=num, rivals=rivals)

    tabulate(arena, omnipresent, 20, 50, "omnipresent, 20 votes each")


def mixed() -> None:
    arena = Arena(real_counts())
    for share in (0.25, 0.5):

        def blend(target, num, share=share):
            yield Attack(target=target, num_accounts=num, honest_share=share)

        tabulate(arena, blend, 10, 50, f"omnipresent with {share:.0%} honest votes, 20 votes each")

    def foreign(target, num):
        yield Attack(target=target, num_accounts=num, rivals=5)

    tabulate(arena, foreign, 10, 50, "omnipresent against five rivals (a direction not tested)")

    def target_only(target, num):
        yield Attack(target=target, num_accounts=num, kind="target-only", votes_per_account=100)

    tabulate(arena, target_only, 10, 20, "target-only, honest elsewhere, 100 votes each")

    def clicker(target, num):
        yield Attack(target=target, num_accounts=num, kind="random", votes_per_account=100)

    tabulate(arena, clicker, 5, 40, "random clicks, 100 votes each")


def replays(first: int = 0, num: int = 50) -> None:
    """1,000 riggers and 1,000 honest accounts of 20 votes: the target's rating after cleaning."""
    arena = Arena(real_counts())
    rows = []
    targets = some_targets(arena, 100, 5)
    for seed in range(first, first + num):
        attack = Attack(target=targets[seed], rivals=seed % 2)
        for known in (True, False) if seed % 5 == 0 else (True,):
            result = replay(
                arena,
                attack,
                lambda scene, known=known, attack=attack: directed_test(
                    scene.votes, scene.fit, attack.target if known else None, num_draws=999
                ),
                seed=seed,
            )
            rows.append((known, result))
    for known in (True, False):
        chosen = [one for is_known, one in rows if is_known == known]
        moved = np.mean([one.rigged_rating - one.honest_rating for one in chosen])
        ranks = np.mean([one.honest_rank - one.rigged_rank for one in chosen])
        outside = np.mean([one.rigged_rating > one.honest_upper for one in chosen])
        inside = float(np.mean([one.is_repaired for one in chosen]))
        left = np.mean([abs(one.cleaned_rating - one.honest_rating) for one in chosen])
        print(
            f"target {'known' if known else 'unknown'}: {len(chosen)} replays, "
            f"found {np.mean([one.found for one in chosen]):.1%}, "
            f"false {np.mean([one.false_flags for one in chosen]):.2%}; "
            f"attack +{moved:.1f} Elo, +{ranks:.1f} ranks, outside the honest interval "
            f"{outside:.0%}; after cleaning inside {interval(inside, len(chosen))}, "
            f"off by {left:.2f} Elo"
        )


def gains() -> None:
    """Ranks gained without any defence, as in the notes: phi-3-mini-june, rank 89."""
    arena = Arena(real_counts())
    target = "phi-3-mini-4k-instruct-june-2024"
    for num in (50, 250, 1000):
        for kind, rivals in (("target-only", 0), ("omnipresent", 0), ("omnipresent", 1)):
            attack = Attack(target=target, kind=kind, rivals=rivals, num_accounts=num)
            before, after, gain = rank_gain(arena, attack)
            how = f"{kind}{', lead' if rivals else ''}"
            print(f"{num * 20:6} votes {how:20} rank {before} -> {after}, {gain:+.2f} Elo")


def fragile() -> None:
    counts = real_counts()
    fit = fit_bradley_terry(counts)
    start = time.process_time()
    found = fragility(counts, fit)
    spent = time.process_time() - start
    bad = [one for one in found if one.num_votes is None or not one.gap_after < 0 <= one.gap_short]
    print(f"{len(found)} swaps ({len(bad)} unconfirmed) in {spent:.2f} CPU s")
    for way in ("remove", "add", "flip"):
        nums = np.array([one.num_votes for one in found if one.way == way], float)
        guess = np.array([one.predicted for one in found if one.way == way])
        off = np.quantile(np.abs(np.ceil(guess) - nums) / nums, 0.95)
        print(
            f"  {way:6} median {np.median(nums):.0f}, least {nums.min():.0f}, most {nums.max():.0f}"
            f"; {np.mean(nums <= 10):.0%} need ten votes or fewer; influence alone is off by"
            f" up to {off:.0%} in 95 % of them"
        )
    order = np.argsort([one.num_votes for one in found if one.way == "flip"])
    flips = [one for one in found if one.way == "flip"]
    for i in order[:5]:
        one = flips[i]
        print(f"  {one.better} > {one.worse}: {one.gap:.3f} Elo, {one.num_votes} flips")


COMMANDS = {
    "power": power,
    "mixed": mixed,
    "replays": replays,
    "gains": gains,
    "fragility": fragile,
}


if __name__ == "__main__":
    begin = time.process_time()
    COMMANDS[sys.argv[1]](*map(int, sys.argv[2:]))
    print(f"{time.process_time() - begin:.1f} CPU s")
