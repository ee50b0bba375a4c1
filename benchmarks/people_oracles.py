"""Does each method recover data that were drawn from its own model, and what do the data allow?

    python benchmarks/people_oracles.py                     every method, five seeds
    python benchmarks/people_oracles.py --only pal vpl      some
    python benchmarks/people_oracles.py --shrinkage         beside pooled and individual
    python benchmarks/people_oracles.py --minority          a planted minority, by describe

**Oracles.** Truths are drawn by tests/support/people_worlds.py, from each method's model, anew for
every seed. 200 texts and 60 more that no pair holds, 200 pairs a user, labels by the sign of the
user's difference, 10 % flipped. "tau" is Kendall's tau between a user's true and fitted scores of
the 60 texts, the mean over users: median and smallest of the seeds; 0.9 is 95 % of pairs right.
"worst user" is the smallest of all. "ceiling" is that of the posterior mean where all that users
share, the priors and the noise are known, on six tastes: what is drawn once for all users is not to
be estimated there, so that nobody can reach it. "pooled" is one head for all: where it is as good,
the world says little about the method. "fit s" is CPU time, one thread. The networks of vpl and gpo
are small (NETWORKS in that file), "vpl unbounded" is vpl without the authors' bounds of the
posterior and with 5,000 steps, the other settings the defaults but for sizes of the truth.

**Shrinkage.** 40 users, 16 dimensions, 10 % of the users opposed to a common taste, plus a taste of
each user's with the standard deviation given (the common one's is 1). 20 users, 2 of them opposed,
are left out and added with 0, 10, 30 and 100 pairs; accuracy on 600 true preferences between texts
that nobody compared. "gap" is shrinkage minus the better of the two others, in points.

**Minority.** The same users with all their pairs, drawn from 40 pairs of texts that all see.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from people_worlds import NETWORKS, ceiling, draw_world, held_out, opposed_crowd, ranking

from polylect.people import METHODS, describe, find_method

FREE = "vpl unbounded"
NUM_NEW, NUM_PAIRS = 20, (0, 10, 30, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=[*METHODS, FREE],
                        default=[*METHODS, FREE])  # fmt: skip
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shrinkage", action="store_true")
    parser.add_argument("--minority", action="store_true")
    options = parser.parse_args()
    if options.shrinkage:
        shrinkage(options.seeds)
    elif options.minority:
        minority(options.seeds)
    else:
        oracles(options.only, options.seeds)


def oracles(names: list[str], num_seeds: int) -> None:
    import torch

    torch.set_num_threads(1)
    print(
        "| method | drawn | width | users | tau | smallest | worst user | ceiling | pooled"
        " | fit s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        rows, method = [], name.partition(" ")[0]
        for seed in range(num_seeds):
            world = draw_world(method, seed)
            known = world.known
            settings = world.settings | NETWORKS.get(name, {})
            started = time.process_time()
            model = find_method(method, **settings).fit(known.crowd, known.seen, seed)
            seconds = time.process_time() - started
            taus = ranking(known.truth, held_out(model, world))
            best, users = ceiling(world)
            most = ranking(known.truth[:, users], best)
            pooled = find_method("pooled").fit(known.crowd, known.seen)
            common = ranking(known.truth, held_out(pooled, world))
            rows.append([taus.mean(), taus.min(), most.mean(), common.mean(), seconds])
        mean, least, most, common, seconds = np.array(rows).T
        print(f"| {name} | {world.shape} | {world.width} | {len(known.crowd.users)} |"
              f" {np.median(mean):.3f} | {mean.min():.3f} | {least.min():.2f} |"
              f" {np.median(most):.3f} | {np.median(common):.2f} | {seconds.mean():.1f} |",
              flush=True)  # fmt: skip


def shrinkage(num_seeds: int) -> None:
    print("| sd of users' own | pairs | pooled | individual | shrinkage | gap | smallest gap |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for own in (0.0, 0.3, 1.0):
        rows = np.array([of_seed(seed, own) for seed in range(num_seeds)])  # [seeds, pairs, three]
        gap = 100 * (rows[..., 2] - rows[..., :2].max(axis=2))
        for i, num in enumerate(NUM_PAIRS):
            accuracy = " | ".join(f"{x:.1f}" for x in 100 * rows[:, i].mean(axis=0))
            print(f"| {own} | {num} | {accuracy} | {gap[:, i].mean():+.1f} |"
                  f" {gap[:, i].min():+.1f} |", flush=True)  # fmt: skip


def of_seed(seed: int, own: float) -> np.ndarray:
    """Accuracy of new users [numbers of pairs, methods]."""
    known, is_opposed = opposed_crowd(seed, own)
    new = np.r_[np.flatnonzero(is_opposed)[:2], np.flatnonzero(~is_opposed)[: NUM_NEW - 2]]
    crowd = known.crowd.take(~np.isin(known.crowd.user, new))
    accuracy = np.zeros((len(NUM_PAIRS), 3))
    for column, name in enumerate(("pooled", "individual", "shrinkage")):
        model = find_method(name).fit(crowd, known.seen, seed)
        for row, num in enumerate(NUM_PAIRS):
            for user in new:
                pairs = known.crowd.take(known.crowd.pairs_of(user)[:num])
                model = model.adapt(known.crowd.users[user], pairs, known.seen)
            rights = [right(known.truth[:, i], model.score(known.crowd.users[i], known.unseen))
                      for i in new]  # fmt: skip
            accuracy[row, column] = np.mean(rights)
    return accuracy


def right(truth: np.ndarray, scores: np.ndarray) -> float:
    draw = np.random.default_rng(0)
    a = draw.integers(len(truth), size=600)
    b = (a + draw.integers(1, len(truth), size=600)) % len(truth)
    return float(np.mean((truth[a] > truth[b]) == (scores[a] > scores[b])))


def minority(num_seeds: int) -> None:
    print("| sd of users' own | opposed | named of them | named falsely | of others |")
    print("|---|---|---|---|---|", flush=True)
    for own in (0.0, 0.3):
        counts = []
        for seed in range(num_seeds):
            known, is_opposed = opposed_crowd(seed, own, num_shared=40)
            named = describe(known.crowd, seed, 20).is_minority
            counts.append([is_opposed.sum(), (named & is_opposed).sum(),
                           (named & ~is_opposed).sum(), (~is_opposed).sum()])  # fmt: skip
        print("| " + " | ".join([str(own), *(str(x) for x in np.sum(counts, axis=0))]) + " |")


if __name__ == "__main__":
    main()
