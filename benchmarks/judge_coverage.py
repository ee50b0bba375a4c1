"""How often two intervals of a judged win rate hold the truth, and how long a bootstrap takes.

python benchmarks/judge_coverage.py [SIMULATIONS]

Arena-hard's interval draws the rows of its score again; ours takes whole prompts as what could have
been others. Worlds: prompts differ in who answers them better, and two games of a prompt share it.
"""

import sys
import time

import numpy as np

from polylect.judging import by_prompt, by_row
from polylect.stats import cluster_bootstrap

WORLDS = {
    "prompts differ much": (1.5, 0.7),
    "prompts differ little": (0.5, 1.5),
    "prompts do not differ": (0.0, 1.5),
}


def simulate(random, num_prompts, lean, spread, noise):
    leaning = random.normal(lean, spread, num_prompts)[:, None]
    x = leaning + random.normal(0, noise, (num_prompts, 2))
    value = np.where(np.abs(x) < 0.3, 0.5, (x > 0).astype(float))
    times = np.where(np.abs(x) > 1.2, 3, 1)
    return [tuple(np.repeat(v, t)) for v, t in zip(value, times, strict=True)]


def main():
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    say = sys.stdout.write
    say(f"{num:,} simulations of 95 % intervals (arena-hard's own level is 90 %)\n")
    say(f"{'world':<24}{'prompts':>8}{'over prompts':>14}{'over rows':>11}{'rows, 90 %':>12}\n")
    for name, (spread, noise) in WORLDS.items():
        random = np.random.default_rng(1)
        pool = simulate(random, 400_000, 0.3, spread, noise)
        truth = sum(map(sum, pool)) / sum(map(len, pool))
        for num_prompts in (100, 500):
            held = np.zeros(3)
            for i in range(num):
                points = simulate(random, num_prompts, 0.3, spread, noise)
                spans = (
                    by_prompt(points),
                    by_row(points, level=0.95, num_rounds=100, seed=i),
                    by_row(points, seed=i),
                )
                held += [one.lower <= truth <= one.upper for one in spans]
            ours, rows, published = held / num
            say(f"{name:<24}{num_prompts:>8}{ours:>14.1%}{rows:>11.1%}{published:>12.1%}\n")
    prompts = np.repeat(np.arange(500), 23)
    languages = np.tile(np.arange(23), 500)
    values = np.random.default_rng(0).choice([0, 0.5, 1], 500 * 23)
    started = time.perf_counter()
    found = cluster_bootstrap(values, prompts, languages)
    say(f"1,000 rounds over 500 x 23: {time.perf_counter() - started:.3f} s, {found.shape}\n")


main()
