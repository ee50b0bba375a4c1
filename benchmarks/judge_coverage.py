"""How often two intervals of a judged win rate cover the truth, and how long a bootstrap takes.

python benchmarks/judge_coverage.py [SIMULATIONS]

Arena-hard's interval resamples the rows of its score; ours resamples whole prompts. In the
simulated worlds prompts differ in who answers them better, and both games of a prompt share it.
"""

import sys
import time

import numpy as np

from polylect.judging import interval_over_prompts, interval_over_rows
from polylect.stats import cluster_bootstrap

WORLDS = {
    "prompts differ much": (1.5, 0.7),
    "prompts differ little": (0.5, 1.5),
    "prompts do not differ": (0.0, 1.5),
}


def simulate(random, num_prompts, lean, spread, noise):
    leaning = random.normal(lean, spread, num_prompts)[:, None]
    margin = leaning + random.normal(0, noise, (num_prompts, 2))
    value = np.where(np.abs(margin) < 0.3, 0.5, (margin > 0).astype(float))
    copies = np.where(np.abs(margin) > 1.2, 3, 1)
    return [tuple(np.repeat(points, num)) for points, num in zip(value, copies, strict=True)]


def main():
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    write = sys.stdout.write
    write(f"{num:,} simulations of 95 % intervals (arena-hard's own level is 90 %)\n")
    write(f"{'world':<24}{'prompts':>8}{'over prompts':>14}{'over rows':>11}{'rows, 90 %':>12}\n")
    for name, (spread, noise) in WORLDS.items():
        random = np.random.default_rng(1)
        pool = simulate(random, 400_000, 0.3, spread, noise)
        truth = sum(map(sum, pool)) / sum(map(len, pool))
        for num_prompts in (100, 500):
            covered = np.zeros(3)
            for i in range(num):
                points = simulate(random, num_prompts, 0.3, spread, noise)
                spans = (
                    interval_over_prompts(points),
                    interval_over_rows(points, level=0.95, num_rounds=100, seed=i),
                    interval_over_rows(points, seed=i),
                )
                covered += [span.lower <= truth <= span.upper for span in spans]
            ours, rows, published = covered / num
            write(f"{name:<24}{num_prompts:>8}{ours:>14.1%}{rows:>11.1%}{published:>12.1%}\n")
    prompts = np.repeat(np.arange(500), 23)
    languages = np.tile(np.arange(23), 500)
    values = np.random.default_rng(0).choice([0, 0.5, 1], 500 * 23)
    started = time.perf_counter()
    means = cluster_bootstrap(values, prompts, languages)
    write(f"1,000 rounds over 500 x 23: {time.perf_counter() - started:.3f} s, {means.shape}\n")


main()
