"""``quantize``: a checkpoint in few bits, and the damage by language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.notices import is_quiet, notice
from polylect.api.results import Plan, Result, check_room, is_there, out_folder
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Count, CountOrZero, Ledger, Positive, Range, Seed, Share, read_json

if TYPE_CHECKING:
    import polars

    from polylect.quantization import Prepared, QuantizeConfig


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """Quantize a checkpoint layer by layer, calibrated on text of chosen languages.

    Schemes: w8, w8a8, w8a8-smooth, w4, w4-gptq, w4-g128, w4-g128-gptq, awq (read by
    compressed-tensors, so by vLLM and transformers); llm-int8, nf4 (read by bitsandbytes). Writes a
    checkpoint in Hugging Face layout with quantize.json. 'polylect quantize study' compares schemes
    by language; 'polylect quantize search' searches bits per layer under a size limit.

    Examples:
        polylect quantize base --calibration text.jsonl --quota uniform
        polylect quantize base --scheme w8 --out base-w8
        polylect quantize base --calibration text.jsonl --quota en=2 ja=1 --dry-run
    """

    model: Positional[Path]
    """A folder in Hugging Face layout, in full precision, with its tokenizer."""
    scheme: str = "w4-g128-gptq"
    """Quantization scheme."""
    calibration: Path | None = None
    """Calibration text: JSON lines with text, language and optionally source. Some texts calibrate,
    others measure the damage; without it, schemes that need no calibration are not measured."""
    quota: Annotated[tuple[str, ...], Mark(metavar="TAG[/SOURCE]=SHARE ...")] = ("english",)
    """Calibration mixture: english, uniform, proportional (to the file), or weights such as
    en=2 ja=1 de/news=1."""
    samples: Count | None = None
    """Number of calibration samples. Default: 64, or as many as the file has text for."""
    sample_tokens: Count | None = None
    """Tokens per sample. Default: 512, or the model's limit, or fewer where there is too little
    text."""
    eval_samples_per_language: CountOrZero = 2
    """Held-out samples per language to measure the damage on; 0 for none."""
    seed: Seed = 0
    """Seed of the order in which texts are drawn."""
    group_size: Count | None = None
    """Group size of grouped schemes. Default: the largest of 128, 64 and 32 that divides a layer's
    inputs, else the largest divisor up to 128."""
    smoothquant_alpha: Share = 0.5
    """SmoothQuant's migration strength α, from activations (0) to weights (1)."""
    damping: Positive = 0.01
    """GPTQ damping, as a fraction of the mean diagonal of the Hessian."""
    passes: Annotated[int, Range(1, 2)] = 1
    """GPTQ passes per layer. 1: calibrate each linear layer on the outputs of already quantized
    ones (more memory). 2: on full-precision outputs within the layer (less memory)."""
    layers: Annotated[Mapping[str, str], Mark(metavar="PATTERN=SCHEME ...")] = field(
        default_factory=dict
    )
    """Schemes of layers by name, or none: '*.down_proj=w8' '*.layers.0.*=none'."""
    embeddings: Literal["keep", "float16", "bfloat16"] = "keep"
    """Type of embeddings, head and norms, which are not quantized."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    output: Group[Output] = field(default_factory=Output)


class Quantized(Result):
    """A quantized checkpoint: its schemes by layer, and the damage by language."""

    @cached_property
    def record(self) -> dict[str, Any]:
        """Settings, schemes by layer, calibration text, damage and counts."""
        from polylect.quantization import RECORD

        return read_json(self.path / RECORD)

    @cached_property
    def ledger(self) -> Ledger:
        """Fallbacks, and tensors left unquantized."""
        return Ledger.from_json(self.record["ledger"])

    def table(self) -> "polars.DataFrame":
        """A row per language, worst-hurt first: divergence in bits per token, error, tokens."""
        import polars

        rows = [
            {
                "language": row["language"],
                "divergence_bits": row["divergence_bits"],
                "last_layer_error": row["layer_errors"][-1],
                "tokens": row["tokens"],
            }
            for row in self.record["damage"]
        ]
        return polars.DataFrame(rows, schema=_COLUMNS)

    def lines(self) -> list[str]:
        """Layers by scheme, the damage, what was counted, and the folder."""
        record = self.record
        embeddings = record["settings"]["embeddings"]
        lines = [_by_scheme(record["layers"].values(), embeddings), f"{record['bytes']:,} bytes"]
        if record["damage"]:
            rows = [
                (row["language"], f"{row['divergence_bits']:.5f}", f"{row['layer_errors'][-1]:.5f}")
                for row in record["damage"]
            ]
            head = ("language", "divergence, bits/token", "last layer’s error")
            lines += text_table(head, rows, "lrr")
        return [*lines, *self.ledger.summary(), str(self.path)]


_COLUMNS: dict[str, Any] = {
    "language": str, "divergence_bits": float, "last_layer_error": float, "tokens": int,
}  # fmt: skip


@verb("quantize", QuantizeOptions)
def quantize(options: QuantizeOptions) -> Quantized | Plan:
    """Quantize a checkpoint layer by layer, calibrated on text of chosen languages.

    Returns a ``Quantized``, which may be given wherever a checkpoint may: ``.table()`` has the
    damage by language, worst-hurt first.

        pl.quantize("base", calibration="text.jsonl", quota="uniform").table()
    """
    config = _config(options)
    _refuse_without_effect(options, config)
    from polylect.base import digest_of, plain
    from polylect.checkpoints import Checkpoint
    from polylect.quantization import QUANTIZE_VERSION, lineage_of, prepare, quantize
    from polylect.runs import TaskReporter, display

    output, out = options.output, options.output.out
    if out is not None:
        check_room(out, output)
    checkpoint = Checkpoint.open(options.model)
    ready = prepare(checkpoint, config, options.calibration)
    if out is None and not output.dry_run:
        key = digest_of([QUANTIZE_VERSION, plain(lineage_of(ready, config))])
        out = out_folder(output, "quantize", key)
    if out is not None and is_there(out, output, lambda: lineage_of(ready, config)):
        return Plan([]) if output.dry_run else Quantized(out)
    if output.dry_run or out is None:
        return Plan(_plan(ready, config))
    for line in _plan(ready, config):
        notice(line)
    with display(silent=is_quiet()) as progress:
        report = TaskReporter("quantize", progress.handle)
        result = quantize(
            checkpoint,
            config,
            options.calibration,
            out,
            report,
            ready=ready,
            replace=output.force,
        )
    notice(", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items()))
    return Quantized(out)


def _config(options: QuantizeOptions) -> "QuantizeConfig":
    """The configuration of the options.

    Raises:
        InputError: an unknown scheme, or a quota of another form.
    """
    from polylect.quantization import CalibrationConfig, QuantizeConfig

    return QuantizeConfig(
        scheme=options.scheme,
        group_size=options.group_size or 0,
        calibration=CalibrationConfig(
            quotas=_quotas(options.quota),
            num_samples=options.samples or 0,
            sample_tokens=options.sample_tokens or 0,
            eval_samples_per_language=options.eval_samples_per_language,
            seed=options.seed,
        ),
        smoothquant_alpha=options.smoothquant_alpha,
        damping=options.damping,
        passes=options.passes,
        embeddings=options.embeddings,
        layers=options.layers,
        shard_bytes=options.max_shard_bytes,
    )


def _quotas(words: Sequence[str]) -> dict[str, float]:
    """Weight by language or by ``language/source``; or by the name of a mixture.

    Raises:
        InputError: neither the name of a mixture nor TAG=WEIGHT.
    """
    from polylect.base import parse_numbers
    from polylect.quantization import SHARES

    if len(words) == 1 and words[0] in SHARES:
        return {words[0]: 1.0}
    return parse_numbers("quota", words, "TAG=WEIGHT, english, uniform or proportional")


def _refuse_without_effect(options: QuantizeOptions, config: "QuantizeConfig") -> None:
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


def _plan(ready: "Prepared", config: "QuantizeConfig") -> list[str]:
    """The plan: layers by scheme, sizes, calibration, memory."""
    plan = ready.plan
    before = sum(info.end - info.begin for info in plan.checkpoint.tensors.values())
    choices = [(scheme.name, size) for scheme, size in plan.layers.values()]
    lines = [
        _by_scheme(choices, config.embeddings),
        f"{before:,} bytes become {plan.num_bytes:,}",
    ]
    if ready.calibration is not None and plan.calibrated:
        rows = ready.calibration.rows
        counts = ", ".join(f"{name} {num}" for name, num in ready.calibration.counts.items())
        lines.append(f"calibration: {len(rows.ids):,} rows of {rows.ids.shape[1]:,} ({counts})")
    return [*lines, *ready.estimate.lines(), *ready.ledger.lines()]


def _by_scheme(choices: Sequence[Sequence[Any]], embeddings: str) -> str:
    """How many layers each scheme has, from its name and group size for every layer."""
    by_scheme: dict[str, int] = {}
    for scheme, size in choices:
        name = f"{scheme}{f' (groups of {size})' if size else ''}"
        by_scheme[name] = by_scheme.get(name, 0) + 1
    shown = ", ".join(f"{num:,} by {name}" for name, num in by_scheme.items())
    return f"{shown}; embeddings, head and norms: {embeddings}"
