"""The mixture lab, measured: planted worlds, the time of a fit, RegMix's own runs, whole sweeps.

    python benchmarks/mixtures.py worlds     # how near the best the recommended mixture is
    python benchmarks/mixtures.py null       # how often nothing is taken for something
    python benchmarks/mixtures.py fit        # 512 runs x 24 languages, beside LightGBM
    python benchmarks/mixtures.py regmix DIR # laws on RegMix's 512 + 256 runs (its folder data/)
    python benchmarks/mixtures.py sweep      # tokens per CPU second (mixtures_sweep.py)

Every figure is of one thread; times are CPU seconds. ``worlds`` takes about five CPU minutes.
"""

import argparse
import os
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from scipy.stats import binomtest, spearmanr  # noqa: E402

from polylect.mixtures import (  # noqa: E402
    SMOOTH,
    FitConfig,
    candidates,
    fit_law,
    read_run_table,
    recommend,
    shares_matter,
)

STREAMS, CELLS, MIXTURES, NOISE = 5, 24, 64, 0.005
CELL_NOISE, RUN_NOISE = 0.015, 0.007
"""Deviation between seeds in the runs of benchmarks/logs/mixtures.md: of a cell, and of all cells
of a run together (medians over the mixtures of 24 trained cells and more)."""
OWN = np.arange(CELLS) % STREAMS
EVEN = np.full(STREAMS, 1 / STREAMS)


def own_rates(random, low, high, others):
    rates = random.uniform(0, others, (STREAMS, CELLS))
    rates[OWN, np.arange(CELLS)] = random.uniform(low, high, CELLS)
    return rates


def exponential(random):
    """Data Mixing Laws' form: the only one that a law here has exactly."""
    floor, scale = random.uniform(1, 2, CELLS), random.uniform(0.5, 1.5, CELLS)
    rates = own_rates(random, 0.8, 2.4, 0.6)
    return lambda shares: floor + scale * np.exp(-(shares @ rates))


def logarithmic(random):
    level, slope = random.uniform(2, 3, CELLS), random.uniform(0.1, 0.3, CELLS)
    return lambda shares: level - slope * np.log(0.02 + shares[:, OWN])


def own_power(random):
    """BiMix' form: a power of the cell's own share."""
    floor, scale = random.uniform(0.5, 1.5, CELLS), random.uniform(0.3, 0.8, CELLS)
    power = random.uniform(0.1, 0.35, CELLS)
    return lambda shares: floor + scale * (shares[:, OWN] + 0.01) ** -power


def transfer_power(random):
    """Chinchilla's data term, of tokens that count in part for other cells too."""
    floor, scale = random.uniform(0.5, 1.5, CELLS), random.uniform(0.5, 1.2, CELLS)
    power, rates = random.uniform(0.1, 0.5, CELLS), own_rates(random, 0.7, 1.0, 0.25)
    return lambda shares: floor + scale * (shares @ rates + 0.005) ** -power


def additive_power(random):
    """Shukor et al. 2025: the inverse of a sum of powers of shares."""
    floor = random.uniform(0.5, 1.5, CELLS)
    rates = own_rates(random, 0.7, 2.0, 0.4)
    powers = random.uniform(0.2, 0.6, (STREAMS, CELLS))
    return lambda shares: floor + 1 / (0.2 + np.einsum(
        "sc,nsc->nc", rates, (shares[:, :, None] + 1e-4) ** powers))  # fmt: skip


def humps(random):
    """Every cell has a best mixture somewhere in between, as reasoning has at 25 % code."""
    best, scale = random.dirichlet(np.full(STREAMS, 3.0), CELLS), random.uniform(0.5, 1.5, CELLS)
    floor = random.uniform(1.5, 2.5, CELLS)
    return lambda shares: floor + scale * ((shares[:, None] - best) ** 2).sum(axis=2)


WORLDS = (exponential, logarithmic, own_power, transfer_power, additive_power, humps)


def worlds(seeds):
    """One world, 64 runs and one recommendation per seed."""
    print(
        f"{MIXTURES} runs of {STREAMS} streams, {CELLS} cells, noise of cells {CELL_NOISE:.1%} and"
        f" of runs {RUN_NOISE:.1%}: within 1 % of"
    )
    print("the best true loss; mean and largest above it; how often a gain's interval holds it")
    pool = candidates(STREAMS, 40_000, 7)
    for make in WORLDS:
        begin, excess, held, laws = time.process_time(), [], 0, {}
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            world = make(random)
            shares = random.dirichlet(np.ones(STREAMS), MIXTURES)
            losses = world(shares)
            of_run = RUN_NOISE * random.standard_normal((MIXTURES, 1))
            losses = losses * (1 + CELL_NOISE * random.standard_normal(losses.shape) + of_run)
            config = FitConfig(resamples=40, candidates=5000, folds=16, seed=seed)
            result = recommend(shares, losses, EVEN, config)
            level = losses.mean(axis=0)
            best = (world(pool) / level).mean(axis=1).min()
            excess.append(float((world(result.shares[None]) / level).mean() / best - 1))
            true = 1 - world(result.considered[None])[0] / world(EVEN[None])[0]
            held += bool(result.gain.lower <= true.mean() <= result.gain.upper)
            laws[result.law_name] = laws.get(result.law_name, 0) + 1
        good = sum(value <= 0.01 for value in excess)
        words = f"{good:3} of {seeds}, {np.mean(excess):+.3%}, {max(excess):+.3%}; {held:3}; {laws}"
        print(f"{make.__name__:15} {words}; {time.process_time() - begin:.0f} s", flush=True)


def null(trials):
    """Changes that are recommended where nothing matters; noise of mixture and of seed."""
    print("share of trials in which a change is recommended at 5 %, and p of more than 5 %")
    for seeds, streams, mixtures, cells in ((1, 5, 64, 24), (3, 5, 12, 24), (2, 2, 6, 48),
                                            (3, 2, 8, 1), (2, 8, 24, 24)):  # fmt: skip
        changes = refused = 0
        even = np.full(streams, 1 / streams)
        for trial in range(trials):
            random = np.random.default_rng([trial, seeds, streams])
            numbers = np.arange(mixtures).repeat(seeds)
            shares = random.dirichlet(np.ones(streams), mixtures)[numbers]
            labels = list(range(seeds)) * mixtures
            losses = 2.0 + 0.01 * random.standard_normal((mixtures, cells))[numbers]
            losses = losses + 0.01 * random.standard_normal((seeds, cells))[labels]
            losses = losses + 0.01 * random.standard_normal(losses.shape)
            test = shares_matter(shares, losses, numbers, [1.0] * len(losses), labels,
                                 num_permutations=199, seed=trial)  # fmt: skip
            refused += test.p_value <= 0.05
            if test.p_value <= 0.05:  # else the reference stays
                config = FitConfig(laws=("linear",), resamples=40, candidates=500, seed=trial)
                changes += recommend(shares, losses, even, config, mixtures=numbers,
                                     seeds=labels).is_change  # fmt: skip
        p_value = binomtest(refused, trials, 0.05, alternative="greater").pvalue
        print(f"{seeds} seeds, {streams} streams, {mixtures} mixtures, {cells} cells:"
              f" {changes / trials:.1%} changes, {refused / trials:.1%} with p <= 5 %"
              f" (more than 5 %: p = {p_value:.2f})", flush=True)  # fmt: skip


def fit():
    """512 runs of 17 streams x 24 languages: everything but the page."""
    random = np.random.default_rng(0)
    streams, runs = 17, 512
    shares = random.dirichlet(np.full(streams, 0.5), runs)
    own = np.arange(CELLS) % streams
    losses = 1 + 0.6 * (shares[:, own] + 0.01) ** -random.uniform(0.1, 0.35, CELLS)
    losses = losses * (1 + NOISE * random.standard_normal(losses.shape))
    even = np.full(streams, 1 / streams)
    recommend(shares[:64], losses[:64], even, FitConfig(resamples=20))  # imports
    begin = time.process_time()
    result = recommend(shares, losses, even, FitConfig())
    seconds = time.process_time() - begin
    errors = ", ".join(
        f"{name} {error.relative.mean():.2%}" for name, error in result.errors.items()
    )
    print(f"polylect: four laws compared, one used, 200 resamples: {seconds:.2f} CPU s ({errors})")
    import lightgbm

    settings = {"objective": "regression", "learning_rate": 0.01, "seed": 42, "verbosity": -1,
                "num_threads": 1}  # fmt: skip
    begin = time.process_time()
    for cell in range(CELLS):
        lightgbm.train(settings, lightgbm.Dataset(shares, losses[:, cell]), 1000)
    seconds = time.process_time() - begin
    print(f"LightGBM as RegMix: one fit of each cell, nothing left out: {seconds:.2f} CPU s")


def regmix(folder):
    """Laws on RegMix's own runs: fitted to the first of its 512, asked about its 256."""
    train = read_run_table(folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv")
    sizes = {
        size: read_run_table(
            folder / f"test_mixture_{size}.csv", folder / f"test_pile_loss_{size}.csv"
        )
        for size in ("1m", "60m", "1B")
        if (folder / f"test_pile_loss_{size}.csv").is_file()
    }
    print("error on the 256 runs of the same size; rank correlation of cells, mean (each size)")
    for num in (64, 128, 512):
        shares, losses = train.shares()[:num], train.losses()[:num]
        for name in (*SMOOTH, "boosted"):
            if name == "quadratic" and num < 200:
                continue  # 153 numbers of a cell
            begin = time.process_time()
            law = fit_law(name, shares, losses)
            seconds = time.process_time() - begin
            words = []
            for size, table in sizes.items():
                cells = [cell for cell in table.cells if cell in train.cells]
                places = [train.cells.index(cell) for cell in cells]
                true, ours = (
                    table.losses(cells),
                    law.predict(table.shares(train.streams))[:, places],
                )
                rank = np.mean([spearmanr(ours[:, i], true[:, i])[0] for i in range(len(cells))])
                error = np.sqrt(((ours / true - 1) ** 2).mean())
                words.append(f"{size} {rank:.3f}" + (f" ({error:.2%})" if size == "1m" else ""))
            print(f"{num} runs, {name:10} {', '.join(words)}; {seconds:.2f} CPU s", flush=True)


def main():
    commands = ("worlds", "null", "fit", "regmix", "sweep")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=commands)
    parser.add_argument("folder", nargs="?", type=Path, help="regmix: its folder data/")
    parser.add_argument("--seeds", type=int, default=100, help="of worlds")
    parser.add_argument("--trials", type=int, default=400, help="of null, per design")
    given, rest = parser.parse_known_args()
    if given.command == "sweep":
        sys.path.insert(0, str(Path(__file__).parent))
        from mixtures_sweep import main as sweep

        sweep(rest)
    elif given.command == "regmix":
        if given.folder is None:
            parser.error("regmix needs the folder data/ of a clone of sail-sg/regmix")
        regmix(given.folder)
    elif given.command == "worlds":
        worlds(given.seeds)
    else:
        {"null": lambda: null(given.trials), "fit": fit}[given.command]()


if __name__ == "__main__":
    main()
