"""Searching bits by layer group: the smallest checkpoint that spares the worst-hurt language.

checkpoint → all low, all high → mixtures in memory on the search's items → the chosen mixture,
quantized → full precision, low, high and mixed on the same items → page. ``polylect quantize
search`` is ``polylect run schemes``.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from polylect.base import InputError, read_json
from polylect.checkpoints import Checkpoint
from polylect.engine import EngineConfig
from polylect.evals import EvalConfig, find_task, score_tasks
from polylect.quantization import SHARES, CalibrationConfig, QuantizeConfig, quantize_checkpoint
from polylect.recipes.quantization.bit_search_steps import MixConfig, search_mixtures
from polylect.recipes.quantization.comparisons import FULL, DamageConfig, compare_schemes
from polylect.runs import Call, Files, Run

LOW, HIGH, MIXED = "low", "high", "mixed"


@dataclass(frozen=True, kw_only=True)
class SchemesConfig:
    """What a search over schemes can be asked."""

    model: Path = Path("model")
    """The checkpoint in full precision, with its tokenizer."""
    calibration: Path = Path("calibration.jsonl")
    """JSON lines with text and language."""
    low: str = "w4-g128-gptq"
    """Scheme of fewer bits: what a layer group gets unless it is raised."""
    high: str = "w8"
    """Scheme of more bits."""
    floor: float = 0.02
    """Largest relative increase of the worst language's bits."""
    budget_mb: float = 0.0
    """Most megabytes of all tensors; 0 for no budget."""
    quota: str = "uniform"
    """Calibration: english, uniform or proportional."""
    tasks: tuple[str, ...] = ("ntrex_bits",)
    """Tasks of likelihood on which mixtures are scored."""
    data: Path | None = None
    """Holds a folder per dataset."""
    languages: tuple[str, ...] = ()
    """Tags; default: all that the tasks have."""
    limit: int | None = 40
    """Only the first items of each task and language, while searching."""
    samples: int = 64
    """Runs of tokens that calibrate."""
    sample_tokens: int = 0
    """Tokens of each; default 512, or what the model takes."""
    threads: int = 1
    """Of the processor, of scoring."""
    seed: int = 0
    """Of calibration and bootstrap."""


def schemes(run: Run, config: SchemesConfig) -> None:
    """Bits by layer group under a size, with a floor under the worst language; the front."""
    _check(config)
    model, text = Files(config.model), Files(config.calibration)
    inputs = {"model": model, "text": text}
    asked = {LOW: quantizing(config, config.low), HIGH: quantizing(config, config.high)}
    made = dict(zip(asked, run.steps(
        [Call(quantize_checkpoint, f"quantize-{name}", one, inputs) for name, one in asked.items()]
    ), strict=True))  # fmt: skip
    found = run.step(
        search_mixtures,
        "search",
        MixConfig(
            low=config.low,
            high=config.high,
            evaluation=_scoring(config, "mixture"),
            budget_bytes=int(config.budget_mb * 1e6),
            floor=config.floor,
        ),
        {"model": model, **made},
    )
    chosen = read_json(found.path / "mixture.json")["chosen"]
    layers = {f"{group}.*": config.high for group in chosen["raised"]}
    made[MIXED] = run.step(
        quantize_checkpoint,
        f"quantize-{MIXED}",
        replace(asked[LOW], layers=layers),
        inputs,
    )
    models = {FULL: model, **made}
    whole = replace(config, limit=None)
    scored = run.steps(
        [
            Call(score_tasks, f"score-{name}", _scoring(whole, name), {"model": one})
            for name, one in models.items()
        ]
    )
    run.step(
        compare_schemes,
        "damage",
        DamageConfig(
            variants={LOW: config.low, HIGH: config.high, MIXED: config.low}, seed=config.seed
        ),
        {
            **{f"score-{name}": one for name, one in zip(models, scored, strict=True)},
            **{f"model-{name}": one for name, one in made.items()},
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


def quantizing(config: SchemesConfig, scheme: str) -> QuantizeConfig:
    """How a scheme is made."""
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
    for task in config.tasks:
        find_task(task)
    if config.quota not in SHARES:
        raise InputError(f"no calibration {config.quota!r}", f"known are {', '.join(SHARES)}")
    if not config.calibration.is_file():
        raise InputError(f"{config.calibration}: no such file", "check the path")
    quantizing(config, config.low), quantizing(config, config.high)


def _scoring(config: SchemesConfig, name: str) -> EvalConfig:
    return EvalConfig(
        name=name,
        tasks=config.tasks,
        languages=config.languages,
        limit=config.limit,
        data=config.data,
        engine=EngineConfig(threads=config.threads),
    )
