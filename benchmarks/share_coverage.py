"""Coverage of the intervals of shares: how often they hold, averaged over all true shares alike.

``python benchmarks/share_coverage.py`` prints, for 1 to 50 independent items, the exact coverage,
and for clustered ones a simulation of ``WORLDS`` worlds each.
"""

import numpy as np
import polars as pl
from scipy.special import betainc

from polylect.stats import score_bounds, share_interval, two_sided_z

WORLDS = 4000
DESIGNS = [(size, correlation) for size in (2, 3, 5) for correlation in (0.0, 0.3, 0.6, 1.0)]


def exact_coverage(num: int, level: float = 0.95) -> tuple[float, float]:
    """Coverage of the interval of ``num`` independent items, and its least width."""
    right = np.arange(num + 1.0)
    lower, upper = score_bounds(right / num, np.full(num + 1, float(num)), two_sided_z(level))
    # The integral of the binomial over the true share is a beta distribution's.
    inside = betainc(right + 1, num - right + 1, upper) - betainc(right + 1, num - right + 1, lower)
    return float(inside.mean()), float((upper - lower).min())


def clustered_worlds(sizes: list[int], correlation: float, worlds: int, seed: int) -> pl.DataFrame:
    """Items of many worlds: world, cluster, value; and the true share of each world.

    Args:
        sizes: items of each cluster.
        correlation: of two items of a cluster.
        worlds: their number; the true shares lie evenly between 0 and 1.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    truth = np.repeat((np.arange(worlds) + 0.5) / worlds, len(sizes))
    if correlation == 0.0:
        chance = truth
    elif correlation == 1.0:
        chance = (random.random(len(truth)) < truth).astype(float)
    else:
        rest = (1 - correlation) / correlation
        chance = random.beta(truth * rest, (1 - truth) * rest)
    items = np.tile(sizes, worlds)
    cluster = np.repeat(np.arange(len(items)), items)
    value = (random.random(items.sum()) < np.repeat(chance, items)).astype(float)
    return pl.DataFrame(
        {"world": cluster // len(sizes), "truth": np.repeat(truth, items), "cluster": cluster}
    ).with_columns(value=pl.Series(value))


def clustered_coverage(
    sizes: list[int], correlation: float, worlds: int = WORLDS, seed: int = 0
) -> tuple[float, float]:
    """Share of worlds whose interval holds the true share, and the least width."""
    frame = clustered_worlds(sizes, correlation, worlds, seed)
    table = share_interval(frame, ["world", "truth"], pl.col("value"))
    assert table["lower"].min() >= 0.0
    assert table["upper"].max() <= 1.0
    holds = (table["lower"] <= table["truth"]) & (table["truth"] <= table["upper"])
    return float(holds.mean()), float((table["upper"] - table["lower"]).min())


def main() -> None:
    """Print the tables."""
    exact = [exact_coverage(num) for num in range(1, 51)]
    print(
        f"independent, n = 1 to 50: {min(c for c, _ in exact):.4f} to"
        f" {max(c for c, _ in exact):.4f}; least width {min(w for _, w in exact):.4f}"
    )
    for size, correlation in DESIGNS:
        found = [clustered_coverage([size] * num, correlation, seed=num) for num in range(1, 51)]
        covered = [coverage for coverage, _ in found]
        print(
            f"{size} items a cluster, correlation {correlation}: {min(covered):.3f} to"
            f" {max(covered):.3f}; at 1, 2, 3, 5, 10, 20, 50 clusters"
            f" {' '.join(f'{covered[i - 1]:.3f}' for i in (1, 2, 3, 5, 10, 20, 50))};"
            f" least width {min(width for _, width in found):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
