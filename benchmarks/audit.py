"""The figures of benchmarks/logs/audit.md, on the real counts of the 2024-08-14 Chatbot Arena file.

    python benchmarks/audit.py power|mixed|replays|gains|fragility|sampling|holes

Each prints its CPU seconds. The counts come from the PyPI package leaderbot 0.4.3.
"""

import sys
import time

import numpy as np
from rank_simulations import arena as real_counts

from polylect.auditing import (
    STATISTICS,
    Attack,
    SimulatedArena,
    SparseGraph,
    active_rule,
    arena_test,
    best_design,
    directed_test,
    fair_rule,
    fragility,
    martingale_test,
    pair_state,
    rank_gain,
    rating_rule,
    rig_board,
    simulate_attack,
    simulate_sampling,
    sparse_graph,
    surprise_test,
    task_mix,
    uniform_rule,
)
from polylect.base import generator
from polylect.ranking import fit_bradley_terry

LEVEL = 0.01


def some_targets(arena: SimulatedArena, num: int, seed: int) -> list[str]:
    rng = generator(seed, "targets")
    return [arena.fit.models[i] for i in rng.permutation(len(arena.fit.models))[:num]]


def interval(hits: float, num: int) -> str:
    from scipy.stats import beta

    k = round(hits * num)
    low = beta.ppf(0.025, k, num - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, num - k) if k < num else 1.0
    return f"{hits:6.1%} ({low:.1%} … {high:.1%})"


def tests_of(scene, target):
    yield arena_test(scene.votes)
    yield martingale_test(scene.votes)
    yield martingale_test(scene.votes, ties="published")
    yield surprise_test(scene.votes, num_draws=1999)
    for statistic in STATISTICS:
        yield directed_test(scene.votes, scene.fit, target, statistic, num_draws=1999)
    for statistic in STATISTICS:
        yield directed_test(scene.votes, scene.fit, None, statistic, num_draws=1999)


def tabulate(arena: SimulatedArena, attacks, num_targets: int, num_each: int, label: str) -> None:
    """Power and false flags of every test, over several targets."""
    sums: dict[str, list[float]] = {}
    num = 0
    for seed, target in enumerate(some_targets(arena, num_targets, 11)):
        for k, attack in enumerate(attacks(target, num_each)):
            scene = rig_board(arena, attack, num_each, 100 * seed + k)
            num += num_each
            for test in tests_of(scene, target):
                flagged = test.flagged(LEVEL)
                row = sums.setdefault(test.name, [0.0, 0.0])
                row[0] += flagged[scene.is_rigger].sum()
                row[1] += flagged[~scene.is_rigger].sum()
    print(f"\n{label}: {num} riggers, {num} honest voters")
    for name, (hits, false) in sums.items():
        print(f"  {name:38} found {interval(hits / num, num)}  false {interval(false / num, num)}")


def power() -> None:
    arena = SimulatedArena(real_counts())

    def omnipresent(target, num):
        for rivals in (0, 1):
            yield Attack(target=target, num_accounts=num, rivals=rivals)

    tabulate(arena, omnipresent, 20, 50, "omnipresent, 20 votes each")


def mixed() -> None:
    arena = SimulatedArena(real_counts())
    for share in (0.25, 0.5):

        def blend(target, num, share=share):
            yield Attack(target=target, num_accounts=num, honest_share=share)

        tabulate(arena, blend, 10, 50, f"omnipresent with {share:.0%} honest votes, 20 votes each")

    def foreign(target, num):
        yield Attack(target=target, num_accounts=num, rivals=7)

    tabulate(arena, foreign, 10, 50, "omnipresent against seven rivals (a direction not tested)")

    def target_only(target, num):
        yield Attack(target=target, num_accounts=num, kind="target-only", votes_per_account=100)

    tabulate(arena, target_only, 10, 20, "target-only, honest elsewhere, 100 votes each")

    def clicker(target, num):
        yield Attack(target=target, num_accounts=num, kind="random", votes_per_account=100)

    tabulate(arena, clicker, 5, 40, "random clicks, 100 votes each")


def replays(first: int = 0, num: int = 50) -> None:
    """1,000 riggers and 1,000 honest accounts of 20 votes: the target's rating after cleaning."""
    arena = SimulatedArena(real_counts())
    rows = []
    targets = some_targets(arena, 100, 5)
    for seed in range(first, first + num):
        attack = Attack(target=targets[seed], rivals=seed % 2)
        for known in (True, False) if seed % 5 == 0 else (True,):
            result = simulate_attack(
                arena,
                attack,
                lambda scene, known=known, attack=attack: directed_test(
                    scene.votes, scene.fit, attack.target if known else None, num_draws=999
                ),
                seed=seed,
            )
            rows.append((known, result))
    for known in (True, False):
        chosen = [result for is_known, result in rows if is_known == known]
        moved = np.mean([result.rigged_rating - result.honest_rating for result in chosen])
        ranks = np.mean([result.honest_rank - result.rigged_rank for result in chosen])
        outside = np.mean([result.rigged_rating > result.honest_upper for result in chosen])
        inside = float(np.mean([result.is_repaired for result in chosen]))
        left = np.mean([abs(result.cleaned_rating - result.honest_rating) for result in chosen])
        print(
            f"target {'known' if known else 'unknown'}: {len(chosen)} replays, "
            f"found {np.mean([result.found for result in chosen]):.1%}, "
            f"false {np.mean([result.false_flags for result in chosen]):.2%}; "
            f"attack +{moved:.1f} Elo, +{ranks:.1f} ranks, outside the honest interval "
            f"{outside:.0%}; after cleaning inside {interval(inside, len(chosen))}, "
            f"off by {left:.2f} Elo"
        )


def gains() -> None:
    """Ranks gained without any defense, as in the notes: phi-3-mini-june, rank 89."""
    arena = SimulatedArena(real_counts())
    target = "phi-3-mini-4k-instruct-june-2024"
    for num in (50, 250, 1000):
        for kind, rivals in (("target-only", 0), ("omnipresent", 0), ("omnipresent", 1)):
            attack = Attack(target=target, kind=kind, rivals=rivals, num_accounts=num)
            before, after, gain = rank_gain(arena, attack)
            how = f"{kind}{', lead' if rivals else ''}"
            print(f"{num * 20:6} votes {how:20} rank {before} -> {after}, {gain:+.2f} Elo")


def fragile() -> None:
    counts = real_counts()
    fit = fit_bradley_terry(counts)
    start = time.process_time()
    swaps = fragility(counts, fit)
    spent = time.process_time() - start
    bad = [
        swap for swap in swaps if swap.num_votes is None or not swap.gap_after < 0 <= swap.gap_short
    ]
    print(f"{len(swaps)} swaps ({len(bad)} unconfirmed) in {spent:.2f} CPU s")
    for way in ("remove", "add", "flip"):
        nums = np.array([swap.num_votes for swap in swaps if swap.way == way], float)
        guess = np.array([swap.predicted for swap in swaps if swap.way == way])
        off = np.quantile(np.abs(np.ceil(guess) - nums) / nums, 0.95)
        print(
            f"  {way:6} median {np.median(nums):.0f}, least {nums.min():.0f}, most {nums.max():.0f}"
            f"; {np.mean(nums <= 10):.0%} need ten votes or fewer; influence alone is off by"
            f" up to {off:.0%} in 95 % of them"
        )
    order = np.argsort([swap.num_votes for swap in swaps if swap.way == "flip"])
    flips = [swap for swap in swaps if swap.way == "flip"]
    for i in order[:5]:
        swap = flips[i]
        print(f"  {swap.better} > {swap.worse}: {swap.gap:.3f} Elo, {swap.num_votes} flips")


_PROVIDERS = (
    ("openai", "gpt- chatgpt"),
    ("google", "gemini bard palm gemma"),
    ("anthropic", "claude"),
    ("meta", "llama codellama"),
    ("mistral", "mistral mixtral"),
    ("alibaba", "qwen"),
    ("cohere", "command c4ai"),
    ("microsoft", "phi wizardlm"),
    ("01", "yi"),
    ("deepseek", "deepseek"),
    ("reka", "reka"),
    ("lmsys", "vicuna fastchat"),
    ("nvidia", "nemotron"),
)
_CLOSED = "gpt- chatgpt gemini-1 gemini-pro gemini-a bard palm claude mistral-large mistral-medium"
_CLOSED += " mistral-next qwen-max qwen1.5-max yi-large reka pplx glm-4 im-also"


def provider_of(model: str) -> str:
    for name, starts in _PROVIDERS:
        if model.startswith(tuple(starts.split())):
            return name
    return "others"


def license_of(model: str) -> str:
    closed = model.startswith(tuple(_CLOSED.split())) and not model.startswith("gpt4all")
    return "proprietary" if closed else "open"


def sampling(target_width: int = 16) -> None:
    """Votes for a mean 95 % interval of the given width, in Elo, on the real strengths."""
    counts = real_counts()
    fit = fit_bradley_terry(counts)
    partitions = {
        "license": [license_of(m) for m in fit.models],
        "provider": [provider_of(m) for m in fit.models],
    }
    real = pair_state(counts).votes / counts.num_votes
    policy = np.maximum(real, 1e-12)

    def recorded(state):
        return policy / policy.sum()

    rules = {
        "uniform": uniform_rule,
        "recorded shares": recorded,
        "active (win matrix)": active_rule,
        "active (ratings)": rating_rule,
        "active (win matrix), fair 0.9": fair_rule(active_rule, partitions, 0.9),
        "active (ratings), fair 0.9": fair_rule(rating_rule, partitions, 0.9),
        "recorded shares, fair 0.9": fair_rule(recorded, partitions, 0.9),
    }
    print(f"no rule needs less than {best_design(fit.strength)[1]:.3f} of uniform (no ties)")
    base = None
    for name, rule in rules.items():
        runs = [
            simulate_sampling(
                fit.strength, rule, target_width, name=name, partitions=partitions, seed=seed
            )
            for seed in range(3)
        ]
        num = float(np.mean([run.num_votes for run in runs]))
        base = base or num
        parts = {k: min(run.least_part[k] for run in runs) for k in partitions}
        print(
            f"  {name:32} {num:9.0f} votes ({num / base:.2f} of uniform), rms error "
            f"{np.mean([run.root_mean_square for run in runs]):.2f} Elo, gini {runs[0].gini:.2f}, "
            f"least part: license {parts['license']:.2f}, provider {parts['provider']:.2f}"
        )


def holes() -> None:
    """The paper's two simulations."""
    result = task_mix(num_worlds=2000)
    num = 2000
    print(f"truth {' '.join(result.truth)}; pooled with all {' '.join(result.with_all)};", end=" ")
    print(f"pooled with {result.unplaced[0]} retired {' '.join(result.with_retired)}")
    print(f"  truth found: with all {interval(result.truth_with_all, num)}")
    print(f"  truth found: retired, pooled {interval(result.truth_with_retired, num)}")
    print(
        f"  truth of the rest found: retired, stratified {interval(result.truth_stratified, num)}"
    )
    print(f"  warned: {interval(result.warned, num)}")
    for name, (full, retired) in result.ratings.items():
        print(f"  {name}: {full:+.1f} with all, {retired:+.1f} retired")
    for bridges in (0, 20, 100, 400):
        graph = sparse_graph(SparseGraph.of_paper(bridges), num_worlds=1000)
        half = graph.mean_half_width[1]
        shown = "none" if half is None else f"{half:.0f}"
        print(
            f"bridges {bridges:3}: dense exact {graph.dense_exact:.1%} tau "
            f"{graph.dense_tau:.3f}; sparse exact {graph.sparse_exact:.1%} tau "
            f"{graph.sparse_tau:.3f}; refused {graph.refused:.1%}; groups right "
            f"{graph.within_exact:.1%}; mean half-width "
            f"{graph.mean_half_width[0]:.0f} dense, {shown} sparse"
        )


COMMANDS = {
    "sampling": sampling,
    "holes": holes,
    "power": power,
    "mixed": mixed,
    "replays": replays,
    "gains": gains,
    "fragility": fragile,
}


if __name__ == "__main__":
    begin = time.process_time()
    COMMANDS[sys.argv[1]](*map(int, sys.argv[2:]))
    print(f"{time.process_time() - begin:.1f} CPU s")
