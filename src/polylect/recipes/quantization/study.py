"""Recipe ``study``, after "How Does Quantization Affect Multilingual LLMs?".

checkpoint → every scheme, with English and with mixed calibration text → scores of all on the same
items → paired comparisons → the paper's tables on one page. Copy this file, change it, and run it
with ``polylect run FILE.py:study``. ``polylect quantize study`` is ``polylect run study``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    Seed,
    Threads,
    check_known,
    check_settings,
    language,
)
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, find_task, score_tasks
from polylect.quantization import (
    SCHEMES,
    SHARES,
    CalibrationConfig,
    QuantizeConfig,
    check_variants,
    quantize_checkpoint,
    scheme_named,
)
from polylect.recipes.quantization.comparisons import FULL, SchemeComparisonConfig, compare_schemes
from polylect.runs import Artifact, Call, Files, Run


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Options of ``polylect run study``."""

    model: Path = Path("model")
    """A folder in Hugging Face layout, in full precision, with its tokenizer."""
    calibration: Path = Path("calibration.jsonl")
    """Calibration text: JSON lines with text and language. Divergence is measured on other rows."""
    schemes: tuple[str, ...] = tuple(SCHEMES)
    """Quantization schemes to compare."""
    quotas: tuple[str, ...] = ("english", "uniform")
    """Languages of the calibration text, for calibrated schemes: english, uniform, proportional."""
    tasks: tuple[str, ...] = ("ntrex_bits", "next_sentence", "translation_choice")
    """Tasks to score on."""
    datasets: Path | None = None
    """Folder with one folder per dataset. Default: POLYLECT_DATA."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all that the tasks have."""
    limit: Count | None = None
    """Only the first items per task and language. Default: all."""
    samples: CountOrZero = 0
    """Number of calibration samples; 0: 64, or as many as the file has text for."""
    sample_tokens: CountOrZero = 0
    """Tokens per sample. Default: 512, or the model's context."""
    eval_samples_per_language: CountOrZero = 2
    """Held-out samples per language to measure the divergence on."""
    judgments: tuple[Path, ...] = ()
    """Judgments of answers, as polylect judge writes them; model_a is full, model_b the label of a
    scheme on the page."""
    people: tuple[str, ...] = ()
    """Judges in --judgments that are people."""
    note: str = ""
    """Note for the top of the page, e.g. that the model had been quantized before."""
    memory_mib: Count = 256
    """Memory limit of a local model besides its weights, in MiB."""
    threads: Threads = 1
    """CPU threads of scoring."""
    seed: Seed = 0
    """Seed of calibration and bootstrap."""

    def __post_init__(self) -> None:
        check_settings(self)


def study(run: Run, config: StudyConfig) -> None:
    """Quantize by every scheme, score all on the same items, and say who pays in which language.

    Examples:
        polylect run study --model base --calibration text.jsonl --dry-run
        polylect run study --model base --calibration text.jsonl --schemes w8 w4-gptq nf4
        polylect run study --model base --calibration text.jsonl --tasks xcopa --languages et,ht
    """
    variants = variants_of(config)
    _check(config)
    model, text = Files(config.model), Files(config.calibration)
    run.announce(
        [f"quantize-{label}" for label in variants],
        [f"score-{label}" for label in (FULL, *variants)],
        ["damage"],
    )
    quantized = run.steps(
        [
            Call(quantize_checkpoint, f"quantize-{label}", variant, {"model": model, "text": text})
            for label, variant in variants.items()
        ]
    )
    models: dict[str, Artifact | Files] = {
        FULL: model,
        **dict(zip(variants, quantized, strict=True)),
    }
    scored = run.steps(
        [
            Call(score_tasks, f"score-{label}", _scoring(config, label), {"model": checkpoint})
            for label, checkpoint in models.items()
        ]
    )
    compared = run.step(
        compare_schemes,
        "damage",
        SchemeComparisonConfig(
            variants={label: variant.scheme for label, variant in variants.items()},
            people=config.people,
            note=config.note,
            seed=config.seed,
        ),
        {
            **{f"score-{label}": scores for label, scores in zip(models, scored, strict=True)},
            **{f"model-{label}": models[label] for label in variants},
            **{f"judged-{i}": Files(file) for i, file in enumerate(config.judgments)},
        },
    )
    from polylect.report import write_study_page

    run.finish(["index.html", f"{compared.path.relative_to(run.path)}/scores.parquet"])
    write_study_page(run.path, "index.html")


def study_plan(run: Run, config: StudyConfig) -> str:
    """What would be quantized and scored; nothing is computed."""
    variants = variants_of(config)
    _check(config)
    checkpoint = Checkpoint.open(config.model)
    lines = [
        f"{len(variants)} quantized checkpoints of {checkpoint.num_parameters:,} parameters: "
        + ", ".join(variants),
        f"then {len(variants) + 1} checkpoints on {', '.join(config.tasks)}"
        f" in {' '.join(config.languages) or 'all their languages'}"
        + (f", {config.limit:,} items each at most" if config.limit else ""),
    ]
    return "\n".join(lines)


def variants_of(config: StudyConfig) -> dict[str, QuantizeConfig]:
    """What is quantized, by label: every scheme, once per quota if it is calibrated.

    Raises:
        InputError: an unknown scheme or calibration, or no scheme at all.
    """
    if not config.schemes:
        raise InputError("no scheme was named", f"known are {', '.join(SCHEMES)}")
    for quota in config.quotas:
        check_known(quota, SHARES, f"no calibration {quota!r}")
    variants: dict[str, QuantizeConfig] = {}
    for name in dict.fromkeys(config.schemes):
        scheme = scheme_named(name)
        quotas: Sequence[str] = config.quotas if scheme.calibrated else ("english",)
        for quota in quotas:
            label = f"{name}.{quota}" if scheme.calibrated else name
            variants[label] = QuantizeConfig(
                scheme=name,
                calibration=CalibrationConfig(
                    quotas={quota: 1.0},
                    num_samples=config.samples,
                    sample_tokens=config.sample_tokens,
                    eval_samples_per_language=config.eval_samples_per_language,
                    seed=config.seed,
                ),
            )
    return variants


def _check(config: StudyConfig) -> None:
    """Check now what would otherwise fail after hours of quantizing."""
    for task in config.tasks:
        find_task(task)
    for tag in config.languages:
        language(tag, "--languages")
    for file in (config.calibration, *config.judgments):
        if not file.is_file():
            raise InputError(f"{file}: no such file", "check the path")
    checkpoint = Checkpoint.open(config.model)
    check_variants(checkpoint, variants_of(config).values(), config.calibration)


def _scoring(config: StudyConfig, label: str) -> EvalConfig:
    return EvalConfig(
        name=label,
        tasks=config.tasks,
        languages=config.languages,
        limit=config.limit,
        data=config.datasets,
        engine=EngineConfig(memory_mib=config.memory_mib, threads=config.threads),
    )
