"""Tables of the merge study, from its stored rows alone."""

import numpy as np
from scipy.special import stdtrit

from polylect.base import read_json
from polylect.comparison import compare
from polylect.rows import ScoreTable
from polylect.stats import rank_correlation


def tables(search, finals, groups, held_out, seeds):
    """Print everything that benchmarks/logs/merge.md holds."""
    found = read_json(search / "study.json")
    scores = ScoreTable.read(finals / "scores.parquet")
    bits = by_language(scores)
    searched = [f"searched-{seed}" for seed in seeds]
    values = found["values"]
    alone = {name: values[name] for name in values if name.startswith("single:")}
    best = max(alone, key=alone.get)
    seen = [tag for own in groups.values() for tag in own]
    named = ["uniform", "merge-best", "greedy", "top-2", "top-4", "top-8"]

    def aspects(name):
        return {group: np.mean([bits[name][tag] for tag in tags]) for group, tags in groups.items()}

    def row(label, names, search_values):
        tests = [np.mean([*aspects(name).values()]) for name in names]
        held = [np.mean([bits[name][tag] for tag in held_out]) for name in names]
        by_group = [np.mean([aspects(name)[group] for name in names]) for group in groups]
        cells = [spread([-one for one in search_values]), spread(tests), spread(held)]
        cells += [f"{one:.3f}" for one in by_group]
        print(f"| {label} | {' | '.join(cells)} |")

    print(f"\n{found['evaluations']} merges were scored. Bits per byte, mean of the five groups; ±"
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
        cells, held, verdicts = [], [], []
        for name in searched:
            one = compare(scores.only(checkpoint=before), scores.only(checkpoint=name),
                          groups={"seen": seen, "held": held_out}, num_resamples=500)  # fmt: skip
            rows = {each["group"]: each for each in one.groups.iter_rows(named=True)}
            cells.append(rows["seen"])
            held.append(rows["held"]["gain"])
            verdicts.append(rows["seen"]["verdict"])
        gains = ", ".join(f"{one['gain']:+.4f} ({one['lower']:+.4f} to {one['upper']:+.4f})"
                          for one in cells)  # fmt: skip
        counts = [verdicts.count(kind) for kind in ("gained", "not separable", "paid")]
        print(f"| {before.removeprefix('single:')} | {gains} | {spread(held, sign=True)} |"
              f" {counts[0]}, {counts[1]}, {counts[2]} |")  # fmt: skip

    print(
        "\n| single checkpoint | validation | test | weights of the searches |\n|---|---|---|---|"
    )
    for place, label in enumerate(found["labels"]):
        weights = [one["weights"][place] for one in found["seeds"]]
        name = f"single:{label}"
        print(f"| {label} | {-values[name]:.3f} | {np.mean([*aspects(name).values()]):.3f} |"
              f" {' '.join(f'{w:.3f}' for w in weights)} |")  # fmt: skip
    rhos = [one["correlation"]["rho"] for one in found["seeds"]]
    print(f"\nrank correlation of weight and single fitness: {spread(rhos)}")
    ones = [one["weights"] for one in found["seeds"]]
    pairs = [rank_correlation(a, b).rho for i, a in enumerate(ones) for b in ones[i + 1 :]]
    print(f"rank correlation of the weights of two searches: mean {np.mean(pairs):.2f}")

    print("\n| weights taken away below, of an equal share | left | change of fitness, validation |"
          "\n|---|---|---|")  # fmt: skip
    thresholds = sorted({one["threshold"] for own in found["seeds"] for one in own["pruned"]})
    for threshold in thresholds:
        own = [(one["num_left"], one["fitness"] - each["fitness"]) for each in found["seeds"]
               for one in each["pruned"] if one["threshold"] == threshold]  # fmt: skip
        left = " ".join(str(num) for num, _ in own)
        print(f"| {threshold:g} | {left} | {spread([change for _, change in own], sign=True)} |")

    print("\n| without (best search) | weight | fitness | " + " | ".join(groups) + " |")
    print("|---|---|---|" + "---|" * len(groups))
    for one in found["left_out"]:
        cells = [f"{one['aspects'][group]:+.4f}" for group in groups]
        print(f"| {one['label']} | {one['weight']:.3f} | {one['change']:+.4f} |"
              f" {' | '.join(cells)} |")  # fmt: skip

    print("\n| checkpoints | best single | uniform | searched, validation | searched, test |"
          "\n|---|---|---|---|---|")  # fmt: skip
    by_size = {}
    for number, one in enumerate(found["pools"]):
        by_size.setdefault(len(one["members"]), []).append((number, one))
    for size, own in by_size.items():
        tests = [np.mean([*aspects(f"pool-{size}-{number}").values()]) for number, _ in own]
        cells = [spread([-one[key] for _, one in own]) for key in ("single", "uniform", "best")]
        print(f"| {size} ({len(own)} draws) | {' | '.join(cells)} | {spread(tests)} |")
    early = spread([-one["early"] for one in found["seeds"]])
    print(f"| {len(found['labels'])}, equal evaluations | {-values[best]:.3f} |"
          f" {-values['uniform']:.3f} | {early} | |")  # fmt: skip

    print("\nPer language, test, best single → searched (mean of searches), worst first:")
    change = {tag: np.mean([bits[name][tag] for name in searched]) - bits[best][tag]
              for tag in (*seen, *held_out)}  # fmt: skip
    print(
        ", ".join(f"{tag} {change[tag]:+.3f}" for tag in sorted(change, key=lambda t: -change[t]))
    )


def by_language(scores):
    """Bits per byte of every checkpoint and language."""
    found = {}
    for row in scores.by("checkpoint", "language").iter_rows(named=True):
        found.setdefault(row["checkpoint"], {})[row["language"]] = row["value"]
    return found


def spread(values, sign=False):
    """The mean, with half a 95 % interval (t) where there are several."""
    form = "{:+.4f}" if sign else "{:.3f}"
    if len(values) < 2:
        return form.format(values[0])
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{form.format(np.mean(values))} ± {half:.4f}"
