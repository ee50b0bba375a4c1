"""Recipe ``schemes``: bits per layer group, the smallest that spare the worst-hurt language.

checkpoint → all groups low, all high → mixed precision in memory, on the search items → the chosen
one, quantized → scores of full precision, low, high and mixed on the same items → page.
``polylect quantize search`` is ``polylect run schemes``.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    Seed,
    Threads,
    check_known,
    check_settings,
    read_json,
)
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, find_task, score_tasks
from polylect.quantization import (
    SHARES,
    CalibrationConfig,
    QuantizeConfig,
    check_variants,
    quantize_checkpoint,
)
from polylect.recipes.quantization.bit_search_steps import BitSearchConfig, search_mixtures
from polylect.recipes.quantization.comparisons import FULL, SchemeComparisonConfig, compare_schemes
from polylect.runs import Call, Files, Run

LOW, HIGH, MIXED = "low", "high", "mixed"


@dataclass(frozen=True, kw_only=True)
class SchemesConfig:
    """Options of ``polylect run schemes``."""

    model: Path = Path("model")
    """A folder in Hugging Face layout, in full precision, with its tokenizer."""
    calibration: Path = Path("calibration.jsonl")
    """Calibration text: JSON lines with text and language."""
    low: str = "w4-g128-gptq"
    """Scheme of fewer bits, for layer groups that are not raised."""
    high: str = "w8"
    """Scheme of more bits, for layer groups that are."""
    max_increase: NonNegative = 0.02
    """Largest relative increase of bits allowed in the worst-hurt language."""
    budget_mb: NonNegative = 0.0
    """Largest size of all tensors, in megabytes; 0: no limit."""
    quota: str = "uniform"
    """Calibration mixture: english, uniform or proportional."""
    tasks: tuple[str, ...] = ("ntrex_bits",)
    """Tasks to score on, of likelihoods."""
    datasets: Path | None = None
    """Folder with one folder per dataset. Default: POLYLECT_DATA."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all that the tasks have."""
    limit: Count | None = 40
    """Only the first items per task and language while searching."""
    samples: CountOrZero = 0
    """Number of calibration samples; 0: 64, or as many as the file has text for."""
    sample_tokens: CountOrZero = 0
    """Tokens per sample. Default: 512, or the model's context."""
    threads: Threads = 1
    """CPU threads of scoring."""
    seed: Seed = 0
    """Seed of calibration and bootstrap."""

    def __post_init__(self) -> None:
        check_settings(self)


def schemes(run: Run, config: SchemesConfig) -> None:
    """Bits per layer group: the smallest checkpoint that spares the worst-hurt language.

    Examples:
        polylect run schemes --model base --calibration text.jsonl --dry-run
        polylect run schemes --model base --calibration text.jsonl --low w4 --high w8
        polylect run schemes --model base --calibration text.jsonl --budget-mb 500 --tasks xcopa
    """
    _check(config)
    model, text = Files(config.model), Files(config.calibration)
    inputs = {"model": model, "text": text}
    variants = {LOW: quantize_config(config, config.low),
                HIGH: quantize_config(config, config.high)}  # fmt: skip
    run.announce(
        [f"quantize-{name}" for name in variants],
        ["search"],
        [f"quantize-{MIXED}"],
        [f"score-{name}" for name in (FULL, LOW, HIGH, MIXED)],
        ["damage"],
    )
    calls = [Call(quantize_checkpoint, f"quantize-{name}", variant, inputs)
             for name, variant in variants.items()]  # fmt: skip
    quantized = dict(zip(variants, run.steps(calls), strict=True))
    search = run.step(
        search_mixtures,
        "search",
        BitSearchConfig(
            low=config.low,
            high=config.high,
            evaluation=_scoring(config, "mixture"),
            budget_bytes=int(config.budget_mb * 1e6),
            floor=config.max_increase,
        ),
        {"model": model, **quantized},
    )
    chosen = read_json(search.path / "mixture.json")["chosen"]
    layers = {f"{group}.*": config.high for group in chosen["raised"]}
    mixed = replace(variants[LOW], layers=layers)
    quantized[MIXED] = run.step(quantize_checkpoint, f"quantize-{MIXED}", mixed, inputs)
    models = {FULL: model, **quantized}
    all_items = replace(config, limit=None)
    scored = run.steps(
        [
            Call(score_tasks, f"score-{name}", _scoring(all_items, name), {"model": checkpoint})
            for name, checkpoint in models.items()
        ]
    )
    run.step(
        compare_schemes,
        "damage",
        SchemeComparisonConfig(
            variants={LOW: config.low, HIGH: config.high, MIXED: config.low}, seed=config.seed
        ),
        {
            **{f"score-{name}": scores for name, scores in zip(models, scored, strict=True)},
            **{f"model-{name}": checkpoint for name, checkpoint in quantized.items()},
        },
    )
    from polylect.report import write_schemes_page

    run.finish(["index.html"])
    write_schemes_page(run.path, "index.html")


def schemes_plan(run: Run, config: SchemesConfig) -> str:
    """What would be searched; nothing is computed."""
    _check(config)
    num = Checkpoint.open(config.model).config.get("num_hidden_layers", 0)
    return (
        f"{config.low} and {config.high} over {2 * num} layer groups: at most {4 * num + 2}"
        f" mixtures on {', '.join(config.tasks)}, then the chosen one"
    )


def quantize_config(config: SchemesConfig, scheme: str) -> QuantizeConfig:
    """How a checkpoint is quantized by a scheme."""
    return QuantizeConfig(
        scheme=scheme,
        calibration=CalibrationConfig(
            quotas={config.quota: 1.0},
            num_samples=config.samples,
            sample_tokens=config.sample_tokens,
            seed=config.seed,
        ),
    )


def _check(config: SchemesConfig) -> None:
    """Check now what would otherwise fail after hours of quantizing."""
    for task in config.tasks:
        find_task(task)
    check_known(config.quota, SHARES, f"no calibration {config.quota!r}")
    if not config.calibration.is_file():
        raise InputError(f"{config.calibration}: no such file", "check the path")
    variants = [quantize_config(config, scheme) for scheme in (config.low, config.high)]
    check_variants(Checkpoint.open(config.model), variants, config.calibration)


def _scoring(config: SchemesConfig, name: str) -> EvalConfig:
    return EvalConfig(
        name=name,
        tasks=config.tasks,
        languages=config.languages,
        limit=config.limit,
        data=config.datasets,
        engine=EngineConfig(threads=config.threads),
    )
