"""Tables of the merge study, from its stored rows alone.

python benchmarks/merge_study_tables.py RUN
"""

import sys
from pathlib import Path

import numpy as np
from merge_study import GROUPS, HELD_OUT, SEEDS
from scipy.special import stdtrit

from polylect.base import read_json
from polylect.comparison import compare
from polylect.rows import ScoreTable
from polylect.runs import read_run
from polylect.stats import rank_correlation


def tables(search, finals, groups, held_out, seeds):
    """Print everything that benchmarks/logs/merge.md holds."""
    study = read_json(search / "study.json")
    scores = ScoreTable.read(finals / "scores.parquet")
    bits = by_language(scores)
    searched = [f"searched-{seed}" for seed in seeds]
    values = study["values"]
    alone = {name: values[name] for name in values if name.startswith("single:")}
    best = max(alone, key=alone.get)
    seen = [tag for tags in groups.values() for tag in tags]
    named = ["uniform", "merge-best", "greedy", "top-2", "top-4", "top-8"]

    def aspects(name):
        return {group: np.mean([bits[name][tag] for tag in tags]) for group, tags in groups.items()}

    def row(label, names, search_values):
        tests = [np.mean([*aspects(name).values()]) for name in names]
        held_out_bits = [np.mean([bits[name][tag] for tag in held_out]) for name in names]
        by_group = [np.mean([aspects(name)[group] for name in names]) for group in groups]
        cells = [spread([-value for value in search_values]), spread(tests), spread(held_out_bits)]
        cells += [f"{value:.3f}" for value in by_group]
        print(f"| {label} | {' | '.join(cells)} |")

    print(f"\n{study['evaluations']} merges were scored. Bits per byte, mean of the five groups; ±"
          f" is half a 95 % interval over {len(seeds)} searches (t).\n")  # fmt: skip
    print("| | validation | test | held-out languages | " + " | ".join(groups) + " |")
    print("|---|---|---|---|" + "---|" * len(groups))
    row(f"best single ({best.removeprefix('single:')})", [best], [values[best]])
    for name in named:
        row(name, [name], [values[name]])
    row("searched", searched, [values[name] for name in searched])

    print("\nPaired on the same test documents (bootstrap by document, 95 %, simultaneous over the"
          " two groups): gain of each search, in bits per byte.\n")  # fmt: skip
    print("| over | searched languages and code, seed by seed | held out | searches that gained,"
          " not separable, paid |\n|---|---|---|---|")  # fmt: skip
    for before in (best, *named):
        cells, held_gains, verdicts = [], [], []
        for name in searched:
            comparison = compare(scores.only(checkpoint=before), scores.only(checkpoint=name),
                          groups={"seen": seen, "held": held_out}, num_resamples=500)  # fmt: skip
            rows = {row["group"]: row for row in comparison.groups.iter_rows(named=True)}
            cells.append(rows["seen"])
            held_gains.append(rows["held"]["gain"])
            verdicts.append(rows["seen"]["verdict"])
        gains = ", ".join(f"{cell['gain']:+.4f} ({cell['lower']:+.4f} to {cell['upper']:+.4f})"
                          for cell in cells)  # fmt: skip
        counts = [verdicts.count(kind) for kind in ("gained", "not separable", "paid")]
        print(f"| {before.removeprefix('single:')} | {gains} | {spread(held_gains, sign=True)} |"
              f" {counts[0]}, {counts[1]}, {counts[2]} |")  # fmt: skip

    print(
        "\n| single checkpoint | validation | test | weights of the searches |\n|---|---|---|---|"
    )
    for place, label in enumerate(study["labels"]):
        weights = [seed["weights"][place] for seed in study["seeds"]]
        name = f"single:{label}"
        print(f"| {label} | {-values[name]:.3f} | {np.mean([*aspects(name).values()]):.3f} |"
              f" {' '.join(f'{w:.3f}' for w in weights)} |")  # fmt: skip
    rhos = [seed["correlation"]["rho"] for seed in study["seeds"]]
    print(f"\nrank correlation of weight and single fitness: {spread(rhos)}")
    weights_by_seed = [seed["weights"] for seed in study["seeds"]]
    pairs = [
        rank_correlation(a, b).rho
        for i, a in enumerate(weights_by_seed)
        for b in weights_by_seed[i + 1 :]
    ]
    print(f"rank correlation of the weights of two searches: mean {np.mean(pairs):.2f}")

    print("\n| weights taken away below, of an equal share | left | change of fitness, validation |"
          "\n|---|---|---|")  # fmt: skip
    prunings = [(seed, pruning) for seed in study["seeds"] for pruning in seed["pruned"]]
    thresholds = sorted({pruning["threshold"] for _, pruning in prunings})
    for threshold in thresholds:
        changes = [
            (pruning["num_left"], pruning["fitness"] - seed["fitness"])
            for seed, pruning in prunings
            if pruning["threshold"] == threshold
        ]
        left = " ".join(str(num) for num, _ in changes)
        mean_change = spread([change for _, change in changes], sign=True)
        print(f"| {threshold:g} | {left} | {mean_change} |")

    print("\n| without (best search) | weight | fitness | " + " | ".join(groups) + " |")
    print("|---|---|---|" + "---|" * len(groups))
    for member in study["left_out"]:
        cells = [f"{member['aspects'][group]:+.4f}" for group in groups]
        print(f"| {member['label']} | {member['weight']:.3f} | {member['change']:+.4f} |"
              f" {' | '.join(cells)} |")  # fmt: skip

    print("\n| checkpoints | best single | uniform | searched, validation | searched, test |"
          "\n|---|---|---|---|---|")  # fmt: skip
    by_size = {}
    for number, pool in enumerate(study["pools"]):
        by_size.setdefault(len(pool["members"]), []).append((number, pool))
    for size, pools in by_size.items():
        tests = [np.mean([*aspects(f"pool-{size}-{number}").values()]) for number, _ in pools]
        cells = [spread([-pool[key] for _, pool in pools]) for key in ("single", "uniform", "best")]
        print(f"| {size} ({len(pools)} draws) | {' | '.join(cells)} | {spread(tests)} |")
    early = spread([-seed["early"] for seed in study["seeds"]])
    print(f"| {len(study['labels'])}, equal evaluations | {-values[best]:.3f} |"
          f" {-values['uniform']:.3f} | {early} | |")  # fmt: skip

    print("\nPer language, test, best single → searched (mean of searches), worst first:")
    change = {tag: np.mean([bits[name][tag] for name in searched]) - bits[best][tag]
              for tag in (*seen, *held_out)}  # fmt: skip
    print(
        ", ".join(f"{tag} {change[tag]:+.3f}" for tag in sorted(change, key=lambda t: -change[t]))
    )


def by_language(scores):
    """Bits per byte of every checkpoint and language."""
    bits = {}
    for row in scores.by("checkpoint", "language").iter_rows(named=True):
        bits.setdefault(row["checkpoint"], {})[row["language"]] = row["value"]
    return bits


def spread(values, sign=False):
    """The mean, with half a 95 % interval (t) where there are several."""
    form = "{:+.4f}" if sign else "{:.3f}"
    if len(values) < 2:
        return form.format(values[0])
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{form.format(np.mean(values))} ± {half:.4f}"


if __name__ == "__main__":
    run = Path(sys.argv[1])
    steps = read_run(run)["steps"]
    searches, finals = (run / steps[label]["folder"] for label in ("searches", "finals"))
    tables(searches, finals, GROUPS, HELD_OUT, SEEDS)
