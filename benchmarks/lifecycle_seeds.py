"""What lifecycles of several seeds found: python benchmarks/lifecycle_seeds.py RUN RUN RUN

Prints Markdown for docs/fidelity.md. A seed changes the split of the text, the order of the data
and the initial weights. The interval is Student's t over the seeds (95 %), beside each value.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from polylect.base import read_json


def groups(run: Path) -> pl.DataFrame:
    folder = read_json(run / "run.json")["steps"]["findings"]["folder"]
    return pl.read_parquet(run / folder / "groups.parquet")


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, lower and upper of Student's t interval."""
    mean = float(np.mean(values))
    half = stats.t.ppf(0.975, len(values) - 1) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


def rows(tables: list[pl.DataFrame], pairs: list[tuple[str, str, str]]) -> list[str]:
    lines = []
    for before, after, group in pairs:
        key = (pl.col("before") == before) & (pl.col("after") == after) & (pl.col("group") == group)
        found = [table.filter(key) for table in tables]
        if any(one.is_empty() or one["relative"][0] is None for one in found):
            continue
        values = [100 * float(one["relative"][0]) for one in found]
        mean, low, high = interval(values)
        verdict = "better" if high < 0 else "worse" if low > 0 else "not separable"
        each = ", ".join(f"{one:+.2f}" for one in values)
        lines.append(
            f"| {after} | {before} | {group} | {mean:+.2f} | {low:+.2f} to {high:+.2f} | {each}"
            f" | {verdict} |"
        )
    return lines


def main(runs: list[Path]) -> None:
    tables = [groups(run) for run in runs]
    experts = [n for n in tables[0]["after"].unique(maintain_order=True) if n.startswith("expert-")]
    pairs = [
        ("rival", name, group) for name in experts for group in ("own", "anchors", "others", "code")
    ]
    merges = ("merge-uniform", "merge-weighted")
    clusters = ("all languages", *[name.removeprefix("expert-") for name in experts], "anchors")
    pairs += [
        (before, name, group)
        for name in merges
        for before in ("base", "rival", "rival-total")
        for group in clusters
    ]
    pairs += [("base", name, "all languages") for name in ("rival", "rival-total")]
    print("| checkpoint | against | languages | change in bits, % | 95 % over seeds | seeds | |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows(tables, pairs)))


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]])
