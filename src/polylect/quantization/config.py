"""Schemes and configuration of quantization; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    Positive,
    Range,
    Seed,
    Share,
    check_known,
    check_settings,
)

Method = Literal["nearest", "gptq", "awq", "smooth"]


@dataclass(frozen=True)
class Scheme:
    """How weights and activations of linear layers are rounded.

    Attributes:
        name: name on the command line.
        num_bits: bits per weight.
        grouped: one scale per group of inputs instead of one per output channel.
        method: round to nearest, GPTQ, or round to nearest after AWQ or SmoothQuant scaling.
        activations: ``token``: int8 with a scale per token; ``outlier``: LLM.int8; empty: none.
        layout: library whose checkpoint layout is written.
        definition: ranges and rounding; stored in the artifact.
    """

    name: str
    num_bits: int
    grouped: bool
    method: Method
    activations: Literal["", "token", "outlier"]
    layout: Literal["compressed-tensors", "bitsandbytes"]
    definition: str

    @property
    def calibrated(self) -> bool:
        """Whether the result depends on calibration text."""
        return self.method != "nearest"


_INT8 = (
    "weights: code = round-half-even(w / s) in float64, in [-127, 127]; s = max|w of an output"
    " channel| / 127 in float32, then in the scales' type; 1 where all weights are 0"
)
_INT4 = (
    "weights: code = round-half-even(w / s) in float64, clipped to [-8, 7]; s = max|w of a {group}|"
    " / 7.5 in float32, then in the scales' type; 1 where all weights are 0"
)
_TOKEN = (
    "; activations: code = round-half-even(x / t), in [-127, 127]; t = max|x of a token| / 127;"
    " int32 sums, times s t"
)
_GPTQ = (
    "; codes by GPTQ (Frantar et al. 2022) on the scales above: H = X'X of the calibration, 1 % of"
    " its mean diagonal added, columns in order of falling diagonal, blocks of 128; an output"
    " channel's round-to-nearest codes are kept for a linear layer where their loss is not larger;"
    " inputs that the calibration never uses are rounded to nearest"
)
_CHANNEL, _GROUP = _INT4.format(group="channel"), _INT4.format(group="channel's group of inputs")

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("w8", 8, False, "nearest", "", "compressed-tensors", _INT8),
        Scheme("w8a8", 8, False, "nearest", "token", "compressed-tensors", _INT8 + _TOKEN),
        Scheme(
            "w8a8-smooth", 8, False, "smooth", "token", "compressed-tensors",
            "SmoothQuant (Xiao et al. 2022, eq. 4): inputs that come from a norm are divided by"
            " max|x|^a / max|w|^(1-a), folded into the norm, and the weights multiplied; then "
            + _INT8 + _TOKEN,
        ),
        Scheme("w4", 4, False, "nearest", "", "compressed-tensors", _CHANNEL),
        Scheme("w4-gptq", 4, False, "gptq", "", "compressed-tensors", _CHANNEL + _GPTQ),
        Scheme("w4-g128", 4, True, "nearest", "", "compressed-tensors", _GROUP),
        Scheme("w4-g128-gptq", 4, True, "gptq", "", "compressed-tensors", _GROUP + _GPTQ),
        Scheme(
            "awq", 4, True, "awq", "", "compressed-tensors",
            "AWQ (Lin et al. 2023, eq. 5): inputs divided by mean|x|^a over the geometric middle of"
            " its ends, a of 0, 0.05, ..., 0.95 by the squared error on the calibration, folded"
            " into the norm or linear layer before; then " + _GROUP,
        ),
        Scheme(
            "llm-int8", 8, False, "nearest", "outlier", "bitsandbytes",
            "LLM.int8 (Dettmers et al. 2022): weights: code = round-half-even(127 w / m), m ="
            " max|w of an output channel|; activations likewise by token, but its values of 6.0 and"
            " more, which stay as they are and meet the rounded weights in floats (bitsandbytes"
            " keeps these inputs for all tokens of a pass; here no token depends on another)",
        ),
        Scheme(
            "nf4", 4, False, "nearest", "", "bitsandbytes",
            "NF4 (Dettmers et al. 2023): the nearest of 16 levels times max|w| of 64 consecutive"
            " weights; these scales less their mean in a dynamic 8-bit type, by blocks of 256",
        ),
    )
}  # fmt: skip
"""Every scheme by name."""

SHARES = ("english", "uniform", "proportional")
"""Named quotas."""

RECORD = "quantize.json"
"""Record of an artifact: settings, calibration text, damage by language."""

KEPT = ("keep", "float16", "bfloat16")


def scheme_named(name: str) -> Scheme:
    """The scheme with that name.

    Raises:
        InputError: there is no such scheme.
    """
    check_known(name, SCHEMES, f"no scheme {name!r}")
    return SCHEMES[name]


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """Calibration text.

    Attributes:
        quotas: relative share by language or ``language/source``; or a single key ``english``,
            ``uniform`` or ``proportional``, which covers all languages of the file.
        num_samples: number of calibration rows; 0 is 64, or as many as the file has text for.
        sample_tokens: tokens per row; 0 is 512, or the model's limit if lower, or less where the
            file has too little text.
        eval_samples_per_language: rows per language, from other text, to measure damage on.
        seed: seed of the order of texts.
    """

    quotas: Mapping[str, NonNegative] = field(default_factory=lambda: {"english": 1.0})
    num_samples: CountOrZero = 0
    sample_tokens: CountOrZero = 0
    eval_samples_per_language: CountOrZero = 2
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """Quantization of a checkpoint.

    Attributes:
        scheme: name of the default scheme.
        group_size: inputs per group for grouped schemes; 0 is ``auto``: the largest of 128, 64 and
            32 that divides a layer's inputs, which serving kernels read, else the largest divisor
            up to 128.
        calibration: the calibration text.
        smoothquant_alpha: SmoothQuant's migration strength α.
        damping: GPTQ's damping, as a fraction of the mean diagonal.
        passes: 1: GPTQ calibrates each linear layer on the outputs of already quantized ones (more
            memory). 2: on the outputs of the full-precision ones (less memory).
        chunk_tokens: calibration tokens that pass through a layer at a time (at least one row).
        embeddings: storage type of embeddings, head and norms, which are never quantized; ``keep``
            leaves it unchanged.
        layers: other schemes by pattern of linear layer names, e.g. ``*.mlp.*``; the first match
            counts, ``none`` leaves a layer unquantized.
        shard_bytes: largest size of the tensors in one file.
    """

    scheme: str = "w4-g128-gptq"
    group_size: CountOrZero = 0
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    smoothquant_alpha: Share = 0.5
    damping: Positive = 0.01
    passes: Annotated[int, Range(1, 2)] = 1
    chunk_tokens: Count = 512
    embeddings: str = "keep"
    layers: Mapping[str, str] = field(default_factory=dict)
    shard_bytes: Count = 5_000_000_000

    def __post_init__(self) -> None:
        check_settings(self)
        for name in (self.scheme, *(scheme for scheme in self.layers.values() if scheme != "none")):
            scheme_named(name)
        check_known(self.embeddings, KEPT, f"--embeddings is {self.embeddings!r}")


SERVED_GROUPS = (128, 64, 32)
"""Group sizes that the kernels of servers read (Marlin, in vLLM)."""


def automatic_group(num_inputs: int, most: int = 128) -> int:
    """The largest served group size that divides a number of inputs, else its largest divisor.

    Args:
        num_inputs: inputs of a layer.
        most: the largest divisor that is taken.
    """
    divisors = (*SERVED_GROUPS, *range(min(most, num_inputs), 0, -1))
    return next(divisor for divisor in divisors if num_inputs % divisor == 0)


def group_for(num_inputs: int, group_size: int, where: str) -> int:
    """Group size of a layer.

    Args:
        num_inputs: inputs of the layer.
        group_size: requested size; 0 is auto.
        where: name of the layer, for the error message.

    Raises:
        InputError: it does not divide the inputs.
    """
    if not group_size:
        return automatic_group(num_inputs)
    if num_inputs % group_size:
        near = [
            divisor for divisor in range(8, min(num_inputs, 512) + 1) if num_inputs % divisor == 0
        ]
        divisors = ", ".join(map(str, near[-6:])) or str(num_inputs)
        raise InputError(
            f"{where}: a group of {group_size} does not divide its {num_inputs:,} inputs"
            f" (divisors: {divisors})",
            f"without --group-size it is {automatic_group(num_inputs)}",
        )
    return group_size
