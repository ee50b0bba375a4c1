"""Schemes by languages, after "How Does Quantization Affect Multilingual LLMs?".

checkpoint → every scheme, by English and by mixed calibration → the same items on all → paired
comparisons → the paper's tables on one page. Copy this file, change it, and run it with
``polylect run FILE.py:study``; ``polylect quantize study`` is ``polylect run study``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError, did_you_mean, language
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, find_task, score_tasks
from polylect.quantization import (
    SCHEMES,
    SHARES,
    CalibrationConfig,
    QuantizeConfig,
    quantize_checkpoint,
    scheme_named,
)
from polylect.recipes.quantization.comparisons import FULL, DamageConfig, compare_schemes
from polylect.runs import Artifact, Call, Files, Run


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What the study can be asked."""

    model: Path = Path("model")
    """The checkpoint in full precision, with its tokenizer."""
    calibration: Path = Path("calibration.jsonl")
    """JSON lines with text and language; other texts of it measure the divergence."""
    schemes: tuple[str, ...] = tuple(SCHEMES)
    """Which schemes."""
    quotas: tuple[str, ...] = ("english", "uniform")
    """Calibrations of the schemes that take one: english, uniform, proportional."""
    tasks: tuple[str, ...] = ("ntrex_bits", "next_sentence", "translation_choice")
    """Tasks on which all are scored."""
    data: Path | None = None
    """Holds a folder per dataset."""
    languages: tuple[str, ...] = ()
    """Tags; default: all that the tasks have."""
    limit: int | None = None
    """Only the first items of each task and language."""
    samples: int = 64
    """Runs of tokens that calibrate."""
    sample_tokens: int = 0
    """Tokens of each; default 512, or what the model takes."""
    eval_samples_per_language: int = 2
    """Runs of every language on which the divergence is measured."""
    judgments: tuple[Path, ...] = ()
    """Judgments of answers, by judges and by people: id, language, model_a ("full"), model_b (a
    scheme's label on the page), verdict, judge; what 'polylect judge' writes."""
    people: tuple[str, ...] = ()
    """Names of judges that are people."""
    note: str = ""
    """A sentence for the top of the page, such as that the model was quantized before."""
    memory_mib: int = 256
    """Bound on what scoring holds besides weights."""
    threads: int = 1
    """Of the processor, of scoring."""
    seed: int = 0
    """Of calibration and bootstrap."""


def study(run: Run, config: StudyConfig) -> None:
    """Quantize by every scheme, score all on the same items, and say who pays in which language."""
    variants = variants_of(config)
    _check(config)
    model, text = Files(config.model), Files(config.calibration)
    made = run.steps(
        [
            Call(quantize_checkpoint, f"quantize-{label}", one, {"model": model, "text": text})
            for label, one in variants.items()
        ]
    )
    models: dict[str, Artifact | Files] = {FULL: model, **dict(zip(variants, made, strict=True))}
    scored = run.steps(
        [
            Call(score_tasks, f"score-{label}", _scoring(config, label), {"model": one})
            for label, one in models.items()
        ]
    )
    found = run.step(
        compare_schemes,
        "damage",
        DamageConfig(
            variants={label: one.scheme for label, one in variants.items()},
            people=config.people,
            note=config.note,
            seed=config.seed,
        ),
        {
            **{f"score-{label}": one for label, one in zip(models, scored, strict=True)},
            **{f"model-{label}": one for label, one in zip(variants, made, strict=True)},
            **{f"judged-{i}": Files(one) for i, one in enumerate(config.judgments)},
        },
    )
    from polylect.report import write_study_page

    run.finish(["index.html", f"{found.path.relative_to(run.path)}/scores.parquet"])
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
    """What is quantized, by label: the scheme, and its calibration where it has one.

    Raises:
        InputError: no such scheme or calibration, or no scheme at all.
    """
    if not config.schemes:
        raise InputError("no scheme was named", f"known are {', '.join(SCHEMES)}")
    for quota in config.quotas:
        if quota not in SHARES:
            hint = did_you_mean(quota, SHARES) or f"known are {', '.join(SHARES)}"
            raise InputError(f"no calibration {quota!r}", hint)
    found: dict[str, QuantizeConfig] = {}
    for name in dict.fromkeys(config.schemes):
        scheme = scheme_named(name)
        quotas: Sequence[str] = config.quotas if scheme.calibrated else ("english",)
        for quota in quotas:
            label = f"{name}.{quota}" if scheme.calibrated else name
            found[label] = QuantizeConfig(
                scheme=name,
                calibration=CalibrationConfig(
                    quotas={quota: 1.0},
                    num_samples=config.samples,
                    sample_tokens=config.sample_tokens,
                    eval_samples_per_language=config.eval_samples_per_language,
                    seed=config.seed,
                ),
            )
    return found


def _check(config: StudyConfig) -> None:
    """Refuse what would only be noticed after the quantizing."""
    for task in config.tasks:
        find_task(task)
    for tag in config.languages:
        language(tag, "--languages")
    for one in (config.calibration, *config.judgments):
        if not one.is_file():
            raise InputError(f"{one}: no such file", "check the path")


def _scoring(config: StudyConfig, label: str) -> EvalConfig:
    return EvalConfig(
        name=label,
        tasks=config.tasks,
        languages=config.languages,
        limit=config.limit,
        data=config.data,
        engine=EngineConfig(memory_mib=config.memory_mib, threads=config.threads),
    )
