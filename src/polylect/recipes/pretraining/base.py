"""Recipe ``base``: a small multilingual base model, for the quantization study to quantize.

sources → tokenizer → base → held-out bits per language → calibration text. Copy this file, change
it, and run it with ``polylect run FILE.py:base``.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polylect.base import Count, Positive, Range, Seed, Threads, check_settings, derive_seed
from polylect.evals import BitsConfig, score_bits
from polylect.mixtures import (
    CatalogSource,
    CollectConfig,
    DebianDocs,
    Mixture,
    Share,
    Stage,
    StandardLibrary,
    TextSource,
    TokenizeConfig,
    TokenizerConfig,
    TokenStore,
    collect_text,
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
from polylect.rows import Document, Split, read_rows
from polylect.runs import Artifact, Run, StepContext, StepInputs, step
from polylect.training import OptimConfig, PretrainConfig, pretrain

TOKENS = 1_800_000
"""The default budget, where there is text for it."""

BYTES_PER_LANGUAGE = 20_000
"""Held-out text per language to score on."""

TOKENS_PER_STEP = 1024
"""Tokens per update: at this scale many small updates learn more
(benchmarks/logs/training.md)."""

SIXTEEN = ("ar", "de", "el", "en", "es", "fr", "he", "hi", "it", "ja", "ko", "pt", "ru", "tr",
           "vi", "zh-Hans")  # fmt: skip
"""The ten languages of the quantization paper, and six that separate script from family."""


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    """Options of ``polylect run base``."""

    debian: Path | None = None
    """A ``usr/share`` folder with Debian's documentation packages, read beside the sample text."""
    languages: tuple[str, ...] = SIXTEEN
    """Language tags; code is added to them."""
    num_parameters: Count = 6_200_000
    """Parameters of the model, embeddings included."""
    vocab_size: Annotated[int, Range(259)] = 12_288
    """Vocabulary size of the tokenizer."""
    tokens: Count | None = None
    """Training tokens. Default: 1,800,000, or as many as the text gives."""
    learning_rate: Positive = 2e-3
    """Peak learning rate; it falls to zero over the last third of the training."""
    language_temperature: Annotated[float, Range(1, math.inf)] = 2.0
    """Sampling temperature over languages: 1 is proportional to size, higher is more equal."""
    code_share: Annotated[float, Range(above=0, below=1)] = 0.05
    """Share of code in the mixture."""
    max_epochs: Positive = 6.0
    """Most epochs over the text of any language."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in documents: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    threads: Threads = 1
    """CPU threads; results depend on their number."""
    seed: Seed = 0
    """Seed of all steps."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Prepared:
    """What is known before the training."""

    tokens: Artifact
    corpus: Artifact
    budgets: Artifact
    training: PretrainConfig


@dataclass(frozen=True, kw_only=True)
class CalibrationTextConfig:
    """No options: all training documents of the corpus, in its order."""


@step(version=1)
def calibration_text(
    config: CalibrationTextConfig, inputs: StepInputs, context: StepContext
) -> None:
    """Writes ``calibration.jsonl``: text, language and source of what the model was trained on.

    Inputs: ``corpus`` (from ``collect_text``).
    """
    with open(context.out / "calibration.jsonl", "w", encoding="utf-8") as file:
        for document in read_rows(inputs["corpus"].path / f"{Split.TRAIN}.parquet", Document):
            row = {"text": document.text, "language": document.language,
                   "source": document.source}  # fmt: skip
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            context.ledger.count("written: documents", 1, document.language)


def base(run: Run, config: BaseConfig) -> None:
    """A small multilingual base model in full precision, and text to calibrate its quantization.

    Examples:
        polylect run base --dry-run
        polylect run base --languages de,hi,tr --num-parameters 2000000
        polylect run base --tokens 500000 --threads 2 --out runs/base-small
    """
    small = 20_000.0  # costs count tokens that a model reads, three times each in training
    run.announce(
        {"text": 10 * small},
        {"tokenizer": 10 * small},
        {"tokens": 10 * small},
        {"budgets": 0.0},
        {"calibration": small},
        {"init": small},
        {"base": 3.0 * (config.tokens or TOKENS)},
        {"bits": len(config.languages) * BYTES_PER_LANGUAGE / 4},
    )
    ready = prepare(run, config)
    tokens = {"tokens": ready.tokens}
    corpus = {"corpus": ready.corpus}
    run.step(calibration_text, "calibration", CalibrationTextConfig(), corpus)
    init = run.step(build, "init", build_config(config), tokens)
    trained = run.step(pretrain, "base", ready.training, tokens | {"model": init})
    run.step(
        score_bits,
        "bits",
        BitsConfig(name="base", split=Split.TEST, bytes_per_language=BYTES_PER_LANGUAGE),
        tokens | {"model": trained},
    )
    run.finish([])


def base_plan(run: Run, config: BaseConfig) -> str:
    """Tokens per language, updates, memory, time; reads the text, trains nothing."""
    from polylect.recipes.pretraining.estimate import forecast

    ready = prepare(run, config)
    table = forecast(
        ready.tokens,
        build_config(config),
        {"base": ready.training},
        1,
        BYTES_PER_LANGUAGE,
        run.num_workers,
    )
    return "\n".join([table, *notes_of(ready.budgets)])


def build_config(config: BaseConfig) -> BuildConfig:
    """The model to build."""
    return BuildConfig(num_parameters=config.num_parameters, seed=derive_seed(config.seed, "init"))


def prepare(run: Run, config: BaseConfig) -> Prepared:
    """Read the text, train the tokenizer, and configure the training."""
    sources: list[TextSource] = [CatalogSource(), StandardLibrary()]
    if config.debian is not None:
        sources.append(DebianDocs(config.debian))
    corpus = run.step(
        collect_text,
        "text",
        CollectConfig(languages=(*config.languages, "code"), seed=config.seed),
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
    languages = sorted({tag for tag, _ in TokenStore(tokens.path, Split.TRAIN).sizes()})
    shares = tuple(
        Share(
            language=tag,
            part=config.code_share if tag == "code" else None,
            max_epochs=config.max_epochs,
        )
        for tag in languages
    )
    budget = Budget(
        option="tokens", tokens=config.tokens, default=TOKENS, trainings={"all languages": shares}
    )
    budgets = run.step(
        fit_budgets,
        "budgets",
        BudgetsConfig(budgets=(budget,), multiple=TOKENS_PER_STEP),
        {"tokens": tokens},
    )
    stage = Stage(
        tokens=tokens_of(budgets, "tokens"), shares=shares, temperature=config.language_temperature
    )
    training = PretrainConfig(
        mixture=Mixture(stages=(stage,), seed=derive_seed(config.seed, "order")),
        optim=OptimConfig(
            learning_rate=config.learning_rate,
            schedule="cooldown",
            cooldown=0.33,
            min_lr_ratio=0.0,
        ),
        batch_tokens=TOKENS_PER_STEP,
        micro_batch_tokens=TOKENS_PER_STEP,
        save_every=100,
        threads=config.threads,
    )
    return Prepared(tokens, corpus, budgets, training)
