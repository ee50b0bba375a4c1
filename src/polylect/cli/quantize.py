"""``polylect quantize``: a checkpoint on fewer bits, and what that does to every language."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, say_already_there

RECIPES = {"study": "study", "search": "schemes"}
"""First words that stand for a recipe: ``polylect quantize study`` is ``polylect run study``."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Quantize a checkpoint layer by layer, calibrated on text of the languages that you choose.

    Schemes: w8, w8a8, w8a8-smooth, w4, w4-gptq, w4-g128, w4-g128-gptq, awq (read by
    compressed-tensors, so by vLLM and transformers); llm-int8, nf4 (read by bitsandbytes).
    'polylect quantize study' compares schemes language by language; 'polylect quantize search'
    looks for bits per layer under a size. 'polylect eval DIR' runs what this writes.
    """

    model: tyro.conf.Positional[Path]
    """A folder in Hugging Face layout, in full precision, with its tokenizer."""
    scheme: str = "w4-g128-gptq"
    """How weights and activations are rounded."""
    out: Path = Path("quantized")
    """Folder that appears when all is written."""
    calibration: Path | None = None
    """JSON lines with text and language, and source if you like. Its texts calibrate and, others
    of them, measure the damage; schemes that need none are measured only if it is given."""
    quota: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TAG[/SOURCE]=SHARE")] = ("english",)
    """Whose text calibrates: english, uniform, proportional (to the file), or shares, as in
    en=2 ja=1 de/news=1."""
    samples: int = 64
    """Runs of tokens that calibrate."""
    sample_tokens: int = 0
    """Tokens of each. Default: 512, or what the model takes."""
    eval_samples_per_language: int = 2
    """Runs of every language, of other texts, on which the damage is measured; 0 for none."""
    seed: int = 0
    """Of the order in which texts are taken."""
    group_size: str = "auto"
    """Inputs that share a scale, where the scheme has groups; auto takes each layer's largest
    divisor of at most 128."""
    smoothquant_alpha: float = 0.5
    """SmoothQuant's migration strength, from activations (0) to weights (1)."""
    damping: float = 0.01
    """GPTQ's, as a share of the mean diagonal."""
    passes: int = 1
    """Of calibration over a layer, by GPTQ. 1 sees what quantized layers give, and holds one part's
    inputs for all text; 2 sees what the layer's full precision gives, and holds none."""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATTERN=SCHEME")] = ()
    """Other schemes for layers whose names fit, or none: '*.down_proj=w8' '*.layers.0.*=none'."""
    embeddings: str = "keep"
    """Type of embeddings, head and norms, which are never quantized: keep, float16 or bfloat16."""
    max_shard_bytes: int = 5_000_000_000
    """Most bytes of tensors in one file."""
    force: Switch = False
    """Replace what --out holds, once the new checkpoint is complete."""
    dry_run: Switch = False
    """Check everything, say what it would take, and write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect quantize``."""
    if arguments and arguments[0] in RECIPES:
        from polylect.cli import run

        return run.main([RECIPES[arguments[0]], *arguments[1:]])
    options = parse(Options, arguments, "quantize")
    config = config_of(options)
    from polylect.checkpoints import LINEAGE, Checkpoint
    from polylect.quantization import lineage_of, prepare, quantize
    from polylect.runs import TaskReporter, display, holds_result

    sealed = not options.dry_run and holds_result(options.out, LINEAGE, {}, force=options.force)
    checkpoint = Checkpoint.open(options.model)
    ready = prepare(checkpoint, config, options.calibration)
    if sealed and holds_result(options.out, LINEAGE, {"lineage": lineage_of(ready, config)}):
        say_already_there(options.out)
        print_lines([options.out])
        return 0
    sys.stdout.write("".join(f"{line}\n" for line in _describe(ready, config)))
    if options.dry_run:
        return 0
    sys.stdout.flush()
    with display() as shown:
        report = TaskReporter("quantize", shown.handle)
        found = quantize(
            checkpoint,
            config,
            options.calibration,
            options.out,
            report,
            ready=ready,
            replace=options.force,
        )
    sys.stdout.write("".join(f"{line}\n" for line in _tell(found, ready)))
    sys.stdout.write(f"{options.out}\n")
    spent = ", ".join(f"{name} {value:.2f} s" for name, value in found.seconds.items())
    sys.stderr.write(f"polylect: {spent}\n")
    return 0


def config_of(options: Options) -> Any:
    """The configuration that options stand for.

    Raises:
        InputError: a value that cannot be read, or no such scheme.
    """
    from polylect.base import InputError
    from polylect.quantization import CalibrationConfig, QuantizeConfig

    if options.group_size != "auto" and not options.group_size.isdigit():
        raise InputError(f"--group-size {options.group_size}", "--group-size auto, or a number")
    if options.max_shard_bytes < 1:
        raise InputError(f"--max-shard-bytes is {options.max_shard_bytes}", "it must be at least 1")
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
        layers=_pairs(options.layers, "--layers", "'*.down_proj=w8'"),
        shard_bytes=options.max_shard_bytes,
    )


def quotas_of(given: Sequence[str]) -> dict[str, float]:
    """Share by language or by ``language/source``; or one of the names.

    Raises:
        InputError: neither a name nor TAG=SHARE.
    """
    from polylect.base import InputError
    from polylect.quantization import SHARES

    if len(given) == 1 and given[0] in SHARES:
        return {given[0]: 1.0}
    found: dict[str, float] = {}
    for tag, text in _pairs(given, "--quota", "en=1, or uniform").items():
        try:
            found[tag] = float(text)
        except ValueError:
            raise InputError(f"--quota {tag}={text}: not a number", "e.g. --quota en=1") from None
    return found


def _pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    from polylect.base import InputError

    found: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name or not text:
            raise InputError(f"{option} {one!r} cannot be read", f"e.g. {option} {example}")
        found[name] = text
    return found


def _describe(ready: Any, config: Any) -> list[str]:
    """What is about to be done, and what it takes."""
    plan = ready.plan
    by_scheme: dict[str, int] = {}
    for scheme, size in plan.layers.values():
        name = f"{scheme.name}{f' (groups of {size})' if size else ''}"
        by_scheme[name] = by_scheme.get(name, 0) + 1
    told = ", ".join(f"{num:,} by {name}" for name, num in by_scheme.items())
    before = sum(info.end - info.begin for info in plan.checkpoint.tensors.values())
    lines = [
        f"{told}; embeddings, head and norms: {config.embeddings}",
        f"{before:,} bytes become {plan.num_bytes:,}",
    ]
    if ready.calibration is not None and plan.calibrated:
        rows = ready.calibration.rows
        counts = ", ".join(f"{name} {num}" for name, num in ready.calibration.counts.items())
        lines.append(f"calibration: {len(rows.ids):,} rows of {rows.ids.shape[1]:,} ({counts})")
    lines += ready.estimate.lines()
    lines += [f"{event} ({where})" for event, where, _ in ready.ledger.rows()]
    return lines


def _tell(found: Any, ready: Any) -> list[str]:
    """The damage, worst-hurt language first, and what was counted on the way."""
    lines = []
    if found.damage:
        lines.append(f"{'language':<10}{'divergence, bits/token':>24}{'last layer’s error':>20}")
        lines += [
            f"{one.language:<10}{one.divergence:>24.5f}{one.layers[-1]:>20.5f}"
            for one in found.damage
        ]
    before: Mapping[str, int] = ready.ledger.by_event()
    for event, num in found.ledger.by_event().items():
        if event not in before:
            lines.append(f"{event}: {num:,}")
    return lines
