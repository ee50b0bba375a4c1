""" "If You Can't Use Them, Recycle Them" in miniature: 16 checkpoints, five searches, one table.

    polylect run benchmarks/merge_study.py:merge_study --out DIR     # about 30 CPU minutes
    python benchmarks/merge_study_tables.py DIR

A base of four million parameters on real text in 25 languages and code, then 15 trainings from it
with other mixtures, learning rates, seeds and stages; the base is the sixteenth. Five searches
(CMA-ES under a softmax, another seed each) see the validation split in 19 languages and code; five
more languages are held out. Shown on the test split: every single checkpoint, uniform, merge-best,
greedy soup, top-k and the searched merges; what pruning leaves; leave-one-out; pools of 2, 4 and 8.

The fitness is the mean of five groups (four of languages, one of code) in bits per byte. Intervals
over searches are Student's t; those on test documents are the product's paired bootstrap.
"""

from dataclasses import dataclass

from polylect.base import derive_seed, plain, read_json, write_json
from polylect.merging import MergeConfig
from polylect.mixtures import (
    CatalogSource,
    CollectConfig,
    Mixture,
    Share,
    Stage,
    StandardLibrary,
    TokenizeConfig,
    TokenizerConfig,
    collect_text,
    tokenize_text,
    train_tokenizer,
)
from polylect.models import BuildConfig, build
from polylect.recipes.merge_search.ablations import leave_one_out, prune
from polylect.recipes.merge_search.baselines import baselines, singles
from polylect.recipes.merge_search.pools import PoolsConfig, search_pools
from polylect.recipes.merge_search.steps import (
    ARCHIVE,
    MODEL,
    FinalsConfig,
    Items,
    objective_of,
    score_finals,
)
from polylect.runs import Call, Run, StepContext, StepInputs, step
from polylect.search import (
    Archive,
    AspectsConfig,
    Cma,
    CmaConfig,
    Evaluator,
    Fitness,
    FitnessConfig,
    WeightMap,
    best_entry,
    best_so_far,
    run_optimizer,
)
from polylect.stats import rank_correlation
from polylect.training import OptimConfig, PretrainConfig, pretrain

GROUPS = {
    "west": ("en", "es", "fr", "de", "nl", "pt", "ro"),
    "slavic-greek": ("cs", "pl", "ru", "el"),
    "near-east-india": ("ar", "he", "tr", "hi"),
    "east-asia": ("zh-Hans", "ja", "ko", "vi"),
    "code": ("code",),
}
HELD_OUT = ("it", "uk", "fa", "zh-Hant", "id")
SEARCHED = tuple(tag for tags in GROUPS.values() for tag in tags)
LANGUAGES = (*SEARCHED, *HELD_OUT)
SEEDS = (0, 1, 2, 3, 4)
BASE_TOKENS, TOKENS, SECOND_TOKENS = 300_000, 40_000, 20_000

POOLS = PoolsConfig(num_draws=3, num_evaluations=24, sigma=0.7)


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Budget of the searches."""

    evaluations: int = 84
    sigma: float = 0.7
    pools: PoolsConfig = POOLS
    validation_bytes: int = 1_000
    test_bytes: int = 4_000


def mixture(tokens, boost=(), factor=6.0, code=0.15, temperature=3.0, seed=0):
    """Every language, some of them `factor` times as much; `code` is its part."""
    shares = [Share(language=tag, weight=factor if tag in boost else 1.0)
              for tag in LANGUAGES if tag != "code"]  # fmt: skip
    if code:
        shares.append(Share(language="code", part=code))
    stage = Stage(tokens=tokens, shares=tuple(shares), temperature=temperature)
    return Mixture(stages=(stage,), seed=derive_seed(seed, "merge-study"))


def training(mixture, rate, schedule="cooldown", batch_tokens=1024):
    optim = OptimConfig(learning_rate=rate, warmup=0.1, schedule=schedule, cooldown=1.0)
    return PretrainConfig(mixture=mixture, optim=optim, batch_tokens=batch_tokens,
                          micro_batch_tokens=1024)  # fmt: skip


FIRST = {
    "even-a": training(mixture(TOKENS), 1e-3),
    "even-b": training(mixture(TOKENS, seed=1), 1e-3),
    "even-slow": training(mixture(TOKENS, seed=2), 3e-4),
    "even-fast": training(mixture(TOKENS, seed=3), 2e-3),
    "even-large-steps": training(mixture(TOKENS, seed=4), 2e-3, batch_tokens=2048),
    "by-size": training(mixture(TOKENS, temperature=1.0, seed=5), 1e-3),
    "west": training(mixture(TOKENS, GROUPS["west"], seed=6), 1e-3),
    "slavic-greek": training(mixture(TOKENS, GROUPS["slavic-greek"], seed=7), 1e-3),
    "near-east-india": training(mixture(TOKENS, GROUPS["near-east-india"], seed=8), 1e-3),
    "east-asia": training(mixture(TOKENS, GROUPS["east-asia"], seed=9), 1e-3),
    "code": training(mixture(TOKENS, code=0.6, seed=10), 1e-3),
    "no-code": training(mixture(TOKENS, code=0.0, seed=11), 1e-3),
}
SECOND = {
    "code-then-even": ("code", training(mixture(SECOND_TOKENS, seed=12), 5e-4)),
    "east-asia-then-code": ("east-asia", training(mixture(SECOND_TOKENS, code=0.4, seed=13), 1e-3)),
    "west-then-near-east": (
        "west", training(mixture(SECOND_TOKENS, GROUPS["near-east-india"], seed=14), 1e-3)),
}  # fmt: skip


def merge_study(run: Run, config: StudyConfig) -> None:
    """Merges of 16 small checkpoints: single, uniform, greedy and searched, on five seeds."""
    sources = [CatalogSource(), StandardLibrary()]
    corpus = run.step(collect_text, "text", CollectConfig(languages=LANGUAGES),
                      {source.name: source for source in sources})  # fmt: skip
    tokenizer = run.step(train_tokenizer, "tokenizer", TokenizerConfig(), {"corpus": corpus})
    tokens = run.step(tokenize_text, "tokens", TokenizeConfig(),
                      {"corpus": corpus, "tokenizer": tokenizer})  # fmt: skip
    init = run.step(build, "init", BuildConfig(num_parameters=4_000_000), {"tokens": tokens})
    steady = training(mixture(BASE_TOKENS), 2e-3, "constant")
    base = run.step(pretrain, "base", steady, {"tokens": tokens, "model": init})
    models = {"base": base}
    calls = [Call(pretrain, name, config_, {"tokens": tokens, "model": base})
             for name, config_ in FIRST.items()]  # fmt: skip
    models |= dict(zip(FIRST, run.steps(calls), strict=True))
    calls = [Call(pretrain, name, config_, {"tokens": tokens, "model": models[parent]})
             for name, (parent, config_) in SECOND.items()]  # fmt: skip
    models |= dict(zip(SECOND, run.steps(calls), strict=True))

    inputs = {MODEL + name: model for name, model in models.items()} | {"tokens": tokens}
    search = run.step(searches, "searches", config, inputs)
    archive = Archive.read(search.path / ARCHIVE)
    named = read_json(search.path / "study.json")["named"]
    weights = {name: archive.entries[number].vector for name, number in named.items()}
    items = Items(languages=LANGUAGES, bytes_per_language=config.test_bytes)
    merges = FinalsConfig(merge=MergeConfig(method="linear"), items=items, weights=weights)
    run.step(score_finals, "finals", merges, inputs)
    run.finish()


@step(version=1)
def searches(config: StudyConfig, inputs: StepInputs, context: StepContext) -> None:
    """Five searches and the pools on one archive; writes it, and ``study.json``."""
    items = Items(languages=SEARCHED, bytes_per_language=config.validation_bytes)
    merge = MergeConfig(method="linear")
    objective = objective_of(merge, items, inputs, test=False)
    candidates = objective.pool.candidates()
    num = len(candidates.labels)
    archive = Archive(context.work / ARCHIVE, candidates.labels,
                      candidates.identity() | objective.identity())  # fmt: skip
    total = 60 + len(SEEDS) * (config.evaluations + 6) + 15 * config.pools.num_evaluations
    evaluate = Evaluator(archive, objective, report=context.report, total=total)
    aspects = AspectsConfig(by="language", groups=GROUPS, lower=("bits_per_byte",))
    alone = list(singles(evaluate).values())
    fitness = Fitness.of(aspects, FitnessConfig(), alone)
    named = baselines(evaluate, fitness, (2, 4, 8))
    values = [fitness(entry.scores) for entry in alone]
    results = []
    for seed in SEEDS:
        cma = CmaConfig(num_evaluations=config.evaluations, sigma=config.sigma, seed=seed)
        optimizer = Cma(WeightMap("softmax", num), fitness, cma)
        entries = run_optimizer(optimizer, evaluate, f"cma-{seed}")
        best = best_entry(entries, fitness)
        early = best_entry(entries[: config.pools.num_evaluations], fitness)
        named[f"searched-{seed}"] = best
        pruned = prune(evaluate, fitness, best)
        results.append({
            "fitness": fitness(best.scores), "early": fitness(early.scores),
            "curve": best_so_far(entries, fitness), "weights": list(best.vector),
            "correlation": plain(rank_correlation(best.vector, values)),
            "pruned": [{"threshold": pruning.threshold, "num_left": pruning.num_left,
                        "fitness": pruning.fitness} for pruning in pruned],
        })  # fmt: skip
    chosen = max(range(len(SEEDS)), key=lambda number: results[number]["fitness"])
    without = leave_one_out(evaluate, fitness, named[f"searched-{SEEDS[chosen]}"])
    parts = search_pools(evaluate, fitness, "softmax", config.pools)
    for number, part in enumerate(parts):
        named[f"pool-{len(part.members)}-{number}"] = part.best
    write_json(context.out / "study.json", {
        "labels": list(archive.labels), "seeds": results, "evaluations": len(archive),
        "named": {name: entry.number for name, entry in named.items()},
        "values": {name: fitness(entry.scores) for name, entry in named.items()},
        "left_out": [{"label": member.label, "weight": member.weight, "change": member.change,
                      "aspects": member.aspects} for member in without],
        "pools": [{"members": list(part.members), "single": part.single, "uniform": part.uniform,
                   "best": part.fitness} for part in parts],
    })  # fmt: skip
    (context.out / ARCHIVE).write_bytes(archive.path.read_bytes())
