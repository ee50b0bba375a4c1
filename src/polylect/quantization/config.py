"""The schemes as data, and what quantizing can be asked; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polylect.base import InputError, did_you_mean

Method = Literal["nearest", "gptq", "awq", "smooth"]


@dataclass(frozen=True)
class Scheme:
    """How weights and activations of linear layers are rounded.

    Attributes:
        name: as the command line has it.
        num_bits: of a weight.
        grouped: a scale for every group of inputs of an output channel, rather than for all.
        method: nearest; GPTQ; nearest after AWQ's or SmoothQuant's scaling.
        activations: ``token``: int8, a scale for every token; ``outlier``: as LLM.int8; or none.
        layout: who else reads the artifact.
        definition: ranges and rounding, as the artifact carries it.
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
        """Whether text decides the result."""
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
    one.name: one
    for one in (
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
"""Quotas that have a name."""

RECORD = "quantize.json"
"""The file of an artifact that says how it was made, by what text, at what cost to whom."""

KEPT = ("keep", "float16", "bfloat16")


def scheme_named(name: str) -> Scheme:
    """The scheme of a name.

    Raises:
        InputError: there is none.
    """
    if name not in SCHEMES:
        hint = did_you_mean(name, SCHEMES) or f"known are {', '.join(SCHEMES)}"
        raise InputError(f"no scheme {name!r}", hint)
    return SCHEMES[name]


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """Which text a model is quantized by.

    Attributes:
        quotas: share by language, or by ``language/source``; one of ``english``, ``uniform`` and
            ``proportional`` as the only key stands for all languages of the file. They need not sum
            to one.
        num_rows: runs of tokens in all.
        row_tokens: tokens of each; 0 is 512, or what the model takes.
        eval_samples_per_language: runs of every language, of other text, on which the
            damage is measured.
        seed: of the order in which texts are taken.
    """

    quotas: Mapping[str, float] = field(default_factory=lambda: {"english": 1.0})
    num_rows: int = 64
    row_tokens: int = 0
    eval_samples_per_language: int = 2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """How a checkpoint is quantized.

    Attributes:
        scheme: name.
        group_size: inputs of a group, of schemes with groups; 0 is ``auto``, each layer's largest
            divisor of at most 128.
        calibration: which text.
        strength: SmoothQuant's migration strength a.
        damping: GPTQ's, as a share of the mean diagonal.
        passes: over a layer, by GPTQ. 1: every linear layer sees what the quantized ones before it
            give, and the inputs of one, for all calibration text, are held. 2: all of a layer see
            what its full-precision ones give, and nothing is held.
        chunk_tokens: calibration tokens that go through a layer at a time (one row at least).
        embeddings: type that embeddings, head and norms are stored in; ``keep`` is their own. They
            are never quantized.
        layers: other schemes by pattern of the names of linear layers, e.g. ``*.mlp.*``; the first
            that fits counts, ``none`` leaves a layer alone.
        shard_bytes: most bytes of tensors in one file.
    """

    scheme: str = "w4-g128-gptq"
    group_size: int = 0
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    strength: float = 0.5
    damping: float = 0.01
    passes: int = 1
    chunk_tokens: int = 512
    embeddings: str = "keep"
    layers: Mapping[str, str] = field(default_factory=dict)
    shard_bytes: int = 5_000_000_000

    def __post_init__(self) -> None:
        for name in (self.scheme, *(one for one in self.layers.values() if one != "none")):
            scheme_named(name)
        if self.group_size < 0:
            raise InputError(f"group size is {self.group_size}", "--group-size auto, or 128")
        if not 0.0 <= self.strength <= 1.0:
            raise InputError(f"migration strength is {self.strength}", "give 0 to 1, e.g. 0.5")
        if not self.damping > 0:
            raise InputError(f"damping is {self.damping}", "give more than 0, e.g. 0.01")
        if self.passes not in (1, 2):
            raise InputError(f"passes is {self.passes}", "--passes 1 or --passes 2")
        if self.embeddings not in KEPT:
            raise InputError(f"embeddings {self.embeddings!r}", f"known are {', '.join(KEPT)}")


def largest_divisor(num_inputs: int, most: int = 128) -> int:
    """The largest divisor of a number of inputs that is not above ``most``."""
    return next(one for one in range(min(most, num_inputs), 0, -1) if num_inputs % one == 0)


def group_for(num_inputs: int, group_size: int, where: str) -> int:
    """Inputs of a group of one layer.

    Args:
        num_inputs: of the layer.
        group_size: what was asked for; 0 is auto.
        where: the layer, for the message.

    Raises:
        InputError: it does not divide the inputs.
    """
    if not group_size:
        return largest_divisor(num_inputs)
    if num_inputs % group_size:
        near = [one for one in range(8, min(num_inputs, 512) + 1) if num_inputs % one == 0]
        told = ", ".join(map(str, near[-6:])) or str(num_inputs)
        raise InputError(
            f"{where}: a group of {group_size} does not divide its {num_inputs:,} inputs"
            f" (divisors: {told})",
            f"--group-size auto takes {largest_divisor(num_inputs)}",
        )
    return group_size
