"""``polylect quantize``: quantize a checkpoint and measure the damage by language."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Count, CountOrZero, Positive, Range, Seed, Share
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, print_seconds, say_already_there

if TYPE_CHECKING:
    from polylect.quantization import QuantizeConfig


@dataclass(frozen=True, kw_only=True)
class Options:
    """Quantize a checkpoint layer by layer, calibrated on text of chosen languages.

    Schemes: w8, w8a8, w8a8-smooth, w4, w4-gptq, w4-g128, w4-g128-gptq, awq (read by
    compressed-tensors, so by vLLM and transformers); llm-int8, nf4 (read by bitsandbytes).
    'polylect quantize study' compares schemes by language; 'polylect quantize search' searches bits
    per layer under a size limit. 'polylect eval DIR' scores the result.
    """

    model: tyro.conf.Positional[Path]
    """A folder in Hugging Face layout, in full precision, with its tokenizer."""
    scheme: str = "w4-g128-gptq"
    """Quantization scheme."""
    out: Path = Path("quantized")
    """Folder for the quantized checkpoint; it appears when complete."""
    calibration: Path | None = None
    """JSON lines with text, language and optionally source. Some texts calibrate, others measure
    the damage; without it, schemes that need no calibration are not measured."""
    quota: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TAG[/SOURCE]=SHARE")] = ("english",)
    """Calibration mixture: english, uniform, proportional (to the file), or weights such as
    en=2 ja=1 de/news=1."""
    samples: CountOrZero = 0
    """Number of calibration samples; 0: 64, or as many as the file has text for."""
    sample_tokens: CountOrZero = 0
    """Tokens per sample; 0: 512, or the model's limit, or fewer where there is too little text."""
    eval_samples_per_language: CountOrZero = 2
    """Held-out samples per language to measure the damage on; 0 for none."""
    seed: Seed = 0
    """Seed of the order in which texts are drawn."""
    group_size: str = "auto"
    """Group size of grouped schemes; auto: the largest of 128, 64 and 32 that divides a layer's
    inputs, else the largest divisor up to 128."""
    smoothquant_alpha: Share = 0.5
    """SmoothQuant's migration strength α, from activations (0) to weights (1)."""
    damping: Positive = 0.01
    """GPTQ damping, as a fraction of the mean diagonal of the Hessian."""
    passes: Annotated[int, Range(1, 2)] = 1
    """GPTQ passes per layer. 1: calibrate each linear layer on the outputs of already quantized
    ones (more memory). 2: on full-precision outputs within the layer (less memory)."""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATTERN=SCHEME")] = ()
    """Schemes of layers by name, or none: '*.down_proj=w8' '*.layers.0.*=none'."""
    embeddings: str = "keep"
    """Type of embeddings, head and norms, which are not quantized: keep, float16 or bfloat16."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    force: Switch = False
    """Replace what --out holds, once the new checkpoint is complete."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect quantize``."""
    options = parse(Options, arguments, "quantize")
    config = config_of(options)
    _refuse_without_effect(options, config)
    from polylect.checkpoints import LINEAGE, Checkpoint
    from polylect.quantization import lineage_of, prepare, quantize
    from polylect.runs import TaskReporter, display, holds_result

    sealed = holds_result(options.out, LINEAGE, {}, force=options.force)
    checkpoint = Checkpoint.open(options.model)
    ready = prepare(checkpoint, config, options.calibration)
    if sealed and holds_result(options.out, LINEAGE, {"lineage": lineage_of(ready, config)}):
        say_already_there(options.out)
        print_lines([options.out])
        return 0
    print_lines(_describe(ready, config))
    if options.dry_run:
        return 0
    sys.stdout.flush()
    with display() as progress:
        report = TaskReporter("quantize", progress.handle)
        result = quantize(
            checkpoint,
            config,
            options.calibration,
            options.out,
            report,
            ready=ready,
            replace=options.force,
        )
    print_lines([*_summary(result, ready), options.out])
    print_seconds(result.seconds)
    return 0


def config_of(options: Options) -> Any:
    """The configuration of the options.

    Raises:
        InputError: an invalid value, or an unknown scheme.
    """
    from polylect.base import InputError, parse_pairs
    from polylect.quantization import CalibrationConfig, QuantizeConfig

    if options.group_size != "auto" and not options.group_size.isdigit():
        raise InputError(f"--group-size {options.group_size}", "--group-size auto, or a number")
    size = 0 if options.group_size == "auto" else int(options.group_size)
    if size == 0 and options.group_size != "auto":
        raise InputError("--group-size 0", "--group-size auto, or a number")
    return QuantizeConfig(
        scheme=options.scheme,
        group_size=size,
        calibration=CalibrationConfig(
            quotas=quotas_of(options.quota),
            num_samples=options.samples,
            sample_tokens=options.sample_tokens,
            eval_samples_per_language=options.eval_samples_per_language,
            seed=options.seed,
        ),
        smoothquant_alpha=options.smoothquant_alpha,
        damping=options.damping,
        passes=options.passes,
        embeddings=options.embeddings,
        layers=parse_pairs("layers", options.layers, "PATTERN=SCHEME"),
        shard_bytes=options.max_shard_bytes,
    )


def _refuse_without_effect(options: Options, config: "QuantizeConfig") -> None:
    """Refuse what no scheme of the call uses, or what belongs to calibration text there is none of.

    Raises:
        InputError: names the option.
    """
    from polylect.quantization import SCHEMES

    names = {config.scheme, *config.layers.values()} - {"none"}
    schemes = [SCHEMES[name] for name in sorted(names)]
    shown = " and ".join(scheme.name for scheme in schemes)
    does = "does" if len(schemes) == 1 else "do"
    reasons: dict[str, tuple[str, str]] = {}
    for methods, fields in (
        ({"smooth"}, ("smoothquant_alpha",)),
        ({"gptq"}, ("damping", "passes")),
    ):
        if not any(scheme.method in methods for scheme in schemes):
            users = [scheme.name for scheme in SCHEMES.values() if scheme.method in methods]
            reasons |= for_each(fields, f"{shown} {does} not use it", _belongs_to(users))
    if not any(scheme.grouped for scheme in schemes):
        users = [scheme.name for scheme in SCHEMES.values() if scheme.grouped]
        reasons["group_size"] = (f"{shown} {does} not round in groups of it", _belongs_to(users))
    if options.calibration is None and not any(scheme.calibrated for scheme in schemes):
        reasons |= for_each(
            ("quota", "samples", "sample_tokens", "eval_samples_per_language"),
            "there is no text to draw samples from",
            "--calibration FILE.jsonl, or leave it out",
        )
    refuse_without_effect("quantize", options, reasons)


def _belongs_to(schemes: Sequence[str]) -> str:
    return f"leave it out; it belongs to --scheme {', '.join(schemes)}"


def quotas_of(arguments: Sequence[str]) -> dict[str, float]:
    """Weight by language or by ``language/source``; or by the name of a mixture.

    Raises:
        InputError: neither the name of a mixture nor TAG=WEIGHT.
    """
    from polylect.base import parse_numbers
    from polylect.quantization import SHARES

    if len(arguments) == 1 and arguments[0] in SHARES:
        return {arguments[0]: 1.0}
    return parse_numbers("quota", arguments, "TAG=WEIGHT, english, uniform or proportional")


def _describe(ready: Any, config: Any) -> list[str]:
    """The plan: layers by scheme, sizes, calibration, memory."""
    plan = ready.plan
    by_scheme: dict[str, int] = {}
    for scheme, size in plan.layers.values():
        name = f"{scheme.name}{f' (groups of {size})' if size else ''}"
        by_scheme[name] = by_scheme.get(name, 0) + 1
    by_name = ", ".join(f"{num:,} by {name}" for name, num in by_scheme.items())
    before = sum(info.end - info.begin for info in plan.checkpoint.tensors.values())
    lines = [
        f"{by_name}; embeddings, head and norms: {config.embeddings}",
        f"{before:,} bytes become {plan.num_bytes:,}",
    ]
    if ready.calibration is not None and plan.calibrated:
        rows = ready.calibration.rows
        counts = ", ".join(f"{name} {num}" for name, num in ready.calibration.counts.items())
        lines.append(f"calibration: {len(rows.ids):,} rows of {rows.ids.shape[1]:,} ({counts})")
    lines += ready.estimate.lines()
    return [*lines, *ready.ledger.lines()]


def _summary(result: Any, ready: Any) -> list[str]:
    """The damage, worst-hurt language first, and what was counted while quantizing."""
    lines = []
    if result.damage:
        lines.append(f"{'language':<10}{'divergence, bits/token':>24}{'last layer’s error':>20}")
        lines += [
            f"{damage.language:<10}{damage.divergence:>24.5f}{damage.layers[-1]:>20.5f}"
            for damage in result.damage
        ]
    planned = set(ready.ledger.summary())
    return [*lines, *(line for line in result.ledger.summary() if line not in planned)]
