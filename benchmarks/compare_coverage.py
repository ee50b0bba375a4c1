"""How often the intervals of `compare` hold: python benchmarks/compare_coverage.py [WORLDS]

Simulated comparisons of two models in 23 languages. An item is as hard for both models as it is, in
part in all languages alike (translations), so that rows of an item hang together. Every fifth
language truly loses 5 points, one gains 4, the others neither. Printed as Markdown: the share of
worlds in which all 23 intervals hold, and in which anybody is named when the sides of every item
are swapped by a coin (nobody can have paid then); with 95 % Clopper-Pearson intervals.
"""

import sys
import time

import numpy as np
import polars as pl
from scipy import stats
from scipy.special import ndtri

from polylect.base import LANGUAGES, generator
from polylect.comparison import compare
from polylect.rows import ScoreTable

TAGS = sorted(tag for tag in LANGUAGES if tag != "zh-Hant")
EFFECT = np.zeros(len(TAGS))
EFFECT[::5] = -0.05
EFFECT[2] = 0.04
RATE = np.linspace(0.35, 0.8, len(TAGS))


def table(
    values: np.ndarray, name: str, metric: str, weight: np.ndarray | None = None
) -> ScoreTable:
    """The score table of a matrix [items, languages]."""
    num = len(values)
    items = np.repeat(np.array([f"{i:05d}" for i in range(num)]), len(TAGS))
    return ScoreTable(
        pl.DataFrame(
            {
                "checkpoint": name, "task": "t@1", "language": TAGS * num, "group": "",
                "item": items, "cluster": items, "metric": metric, "value": values.ravel(),
                "weight": np.ones(values.size) if weight is None else weight.ravel(),
                "chance": None, "settings": "", "truncated": False, "invalid": False,
            },
            schema_overrides={"chance": pl.Float64()},
        )
    )  # fmt: skip


def answers(
    random: np.random.Generator, num: int, independence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong of both models [items, languages].

    ``independence`` is the part of the variance that the models do not share.
    """
    shape = (num, len(TAGS))

    def normal(shared: float) -> np.ndarray:
        """Standard normal numbers whose rows share a part of their variance."""
        common = np.sqrt(shared) * random.normal(size=(num, 1))
        return common + np.sqrt(1 - shared) * random.normal(size=shape)

    difficulty, noise_before, noise_after = normal(0.4), random.normal(size=shape), normal(0.3)
    shared, alone = np.sqrt(1 - independence), np.sqrt(independence)
    before = shared * difficulty + alone * noise_before < ndtri(RATE)
    after = shared * difficulty + alone * noise_after < ndtri(RATE + EFFECT)
    return before.astype(float), after.astype(float)


def bits(
    random: np.random.Generator, num: int, independence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits per byte of documents of unequal length, and their bytes; less is better."""
    shape = (num, len(TAGS))
    weight = np.exp(random.normal(6, 0.6, (num, 1)) + random.normal(0, 0.1, shape))
    before = 1.5 + 0.3 * random.normal(size=(num, 1)) + 0.1 * random.normal(size=shape)
    noise = random.normal(size=(num, 1)) * 0.6 + random.normal(size=shape) * 0.8
    return before, before - EFFECT + independence * noise, weight


def swapped(
    random: np.random.Generator, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both sides with every row's sides swapped by a coin."""
    coin = random.random(before.shape) < 0.5
    return np.where(coin, after, before), np.where(coin, before, after)


def worlds(kind: str, num: int, independence: float, count: int) -> tuple[int, int, int, float]:
    """Worlds where all intervals hold; null worlds where one is named, by us and by Holm's."""
    covered, named, holm, changed = 0, 0, 0, 0.0
    metric = "acc" if kind == "accuracy" else "bits_per_byte"
    for world in range(count):
        random = generator(world, "coverage", kind, num, str(independence))
        weight = None
        if kind == "accuracy":
            before, after = answers(random, num, independence)
        else:
            before, after, weight = bits(random, num, independence)
        changed += float(np.mean(before != after)) / count
        for null in (False, True):
            pair = swapped(random, before, after) if null else (before, after)
            sides = [
                table(values, name, metric, weight) for values, name in zip(pair, "ab", strict=True)
            ]
            comparison = compare(*sides, groups={}, seed=world)
            rows = comparison.languages.sort("language")
            if null:
                named += bool((rows["verdict"] != "not separable").any())
                holm += bool((comparison.cells["p_holm"].fill_null(1.0) < 0.05).any())
            else:
                lower, upper = rows["lower"].to_numpy(), rows["upper"].to_numpy()
                covered += bool(((lower <= EFFECT + 1e-12) & (upper >= EFFECT - 1e-12)).all())
    return covered, named, holm, changed


def share(num: int, count: int) -> str:
    """A share in per cent with its Clopper-Pearson interval."""
    low, high = stats.binomtest(num, count).proportion_ci(0.95)
    return f"{100 * num / count:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def main(count: int) -> None:
    print("| metric | items a language | items that change | all 23 intervals hold, % of worlds |"
          " null: anybody named, % | null: Holm-adjusted McNemar names, % | CPU s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    cases = [("accuracy", 200, 0.1), ("accuracy", 200, 0.4), ("accuracy", 200, 0.02),
             ("accuracy", 50, 0.4), ("accuracy", 50, 0.1), ("bits per byte", 30, 0.2),
             ("bits per byte", 200, 0.2), ("accuracy", 1000, 0.1)]  # fmt: skip
    for kind, num, independence in cases:
        started = time.process_time()
        worlds_here = count if num == 200 and kind == "accuracy" else count // 2
        covered, named, holm, changed = worlds(kind, num, independence, worlds_here)
        tests = share(holm, worlds_here) if kind == "accuracy" else "–"
        print(f"| {kind} | {num} | {100 * changed:.0f} % | {share(covered, worlds_here)} |"
              f" {share(named, worlds_here)} | {tests} | {time.process_time() - started:.0f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
