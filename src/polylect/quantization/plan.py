"""Planning a quantization: layers, schemes, memory and errors, before loading weights."""

import math
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from polylect.base import InputError, Ledger
from polylect.checkpoints import (
    DTYPE_OF_TORCH_NAME,
    FLOAT_DTYPES,
    Checkpoint,
    TensorSpec,
    item_size,
)
from polylect.quantization.config import (
    SERVED_GROUPS,
    QuantizeConfig,
    Scheme,
    group_for,
    scheme_named,
)
from polylect.quantization.formats import check_fits, quantization_config, specs_of
from polylect.quantization.initialization import check_initializes
from polylect.runs import Estimate

ALONE = "left as it is: weight that is no linear layer"
"""Ledger event: a matrix inside a decoder layer that no scheme covers."""


UNSERVED = "groups of a size that serving kernels refuse (they read 32, 64 and 128)"
"""Ledger event: a linear layer whose group size vLLM's kernels do not take."""


@dataclass(frozen=True)
class Plan:
    """A checked quantization plan.

    Attributes:
        checkpoint: the checkpoint to quantize.
        layers: scheme and group size (0: one scale per output) by full name of the linear layer.
        alone: full names of linear layers that stay unquantized.
        specs: every tensor of the artifact, in order.
        copied: storage type of each copied tensor, by name.
        layer_of: number of the decoder layer of each tensor that is in one, by name.
        scale_type: storage type of the scales (safetensors name).
        config: quantization section of config.json.
    """

    checkpoint: Checkpoint
    layers: Mapping[str, tuple[Scheme, int]] = field(repr=False)
    alone: tuple[str, ...] = field(repr=False)
    specs: tuple[TensorSpec, ...] = field(repr=False)
    copied: Mapping[str, str] = field(repr=False)
    layer_of: Mapping[str, int] = field(repr=False)
    scale_type: str
    config: Mapping[str, Any] = field(repr=False)

    @property
    def calibrated(self) -> bool:
        """Whether any scheme needs calibration text."""
        return any(scheme.calibrated for scheme, _ in self.layers.values())

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors of the artifact."""
        return sum(_size(spec) for spec in self.specs)


def make_plan(
    checkpoint: Checkpoint,
    config: QuantizeConfig,
    linear: Sequence[str],
    outside: Sequence[str],
    layer_of: Mapping[str, int],
    ledger: Ledger,
) -> Plan:
    """Plan the quantization of a checkpoint.

    Args:
        checkpoint: a full-precision checkpoint.
        config: the configuration.
        linear: full names of the linear layers inside the decoder layers.
        outside: full names of the others, which stay as they are: the head, projections, routers.
        layer_of: number of the decoder layer of each tensor that is in one, by name.
        ledger: counts matrices that stay unquantized.

    Raises:
        InputError: the checkpoint is quantized already, a scheme or group size does not fit a
            layer, schemes cannot be combined, or transformers could not open what is written.
    """
    refuse_quantized(checkpoint)
    if not linear:
        raise InputError(
            f"{checkpoint.path}: its decoder layers hold no plain linear layer",
            "polylect cannot quantize this architecture",
        )
    _check_patterns(checkpoint, config, linear, outside)
    layers: dict[str, tuple[Scheme, int]] = {}
    alone: list[str] = []
    for name in linear:
        scheme = _scheme_for(name, config)
        info = checkpoint.tensors.get(f"{name}.weight")
        if scheme is None or info is None:
            alone += [name] if info is not None else []
            continue
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(f"{checkpoint.path}: {name} holds {info.dtype}, not floats",
                             "quantize the full-precision checkpoint")  # fmt: skip
        check_fits(name, info.shape, scheme)
        size = group_for(info.shape[1], config.group_size, name) if scheme.grouped else 0
        if size and size not in SERVED_GROUPS:
            ledger.count(UNSERVED, 1, f"{size}: {name}")
        layers[name] = (scheme, size)
    if not layers:
        raise InputError(f"{checkpoint.path}: no linear layer to quantize",
                         "change --layers")  # fmt: skip
    first = checkpoint.tensors[f"{next(iter(layers))}.weight"].dtype
    scale_type = first if first in ("F16", "BF16") else "F32"
    kept = DTYPE_OF_TORCH_NAME.get(config.embeddings)
    specs: list[TensorSpec] = []
    copied: dict[str, str] = {}
    stored: dict[str, Sequence[TensorSpec]] = {}
    for name, info in checkpoint.tensors.items():
        owner = name.removesuffix(".weight")
        if owner in layers:
            scheme, size = layers[owner]
            shape = (info.shape[0], info.shape[1])
            stored[owner] = specs_of(owner, shape, scheme, size or shape[1], scale_type)
            specs += stored[owner]
            continue
        copied[name] = kept if kept and info.dtype in FLOAT_DTYPES else info.dtype
        specs.append(TensorSpec(name, copied[name], info.shape))
        if len(info.shape) > 1 and name in layer_of and owner not in alone:
            ledger.count(ALONE, 1, name)
    quantization = quantization_config(layers, [*outside, *alone])
    check_initializes(checkpoint, stored, config.layers)
    return Plan(
        checkpoint, layers, tuple(alone), tuple(sorted(specs)), copied, layer_of, scale_type,
        quantization,
    )  # fmt: skip


def refuse_quantized(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint is not quantized.

    Raises:
        InputError: it is.
    """
    if checkpoint.is_quantized:
        method = checkpoint.config["quantization_config"].get("quant_method", "unknown")
        raise InputError(
            f"{checkpoint.path}: already quantized ({method})",
            "quantize the full-precision checkpoint it was made from",
        )


def _check_patterns(
    checkpoint: Checkpoint, config: QuantizeConfig, linear: Sequence[str], outside: Sequence[str]
) -> None:
    """Check that every pattern of ``--layers`` decides something.

    Raises:
        InputError: one fits no linear layer, or only layers that an earlier one fits.
    """
    left = [*linear]
    for pattern, scheme in config.layers.items():
        place = f"{checkpoint.path}: --layers {pattern!r}={scheme}"
        fitting = [name for name in linear if fnmatchcase(name, pattern)]
        if not fitting and any(fnmatchcase(name, pattern) for name in outside):
            raise InputError(f"{place}: only plain linear layers of decoder layers are quantized",
                             "leave it out")  # fmt: skip
        if not fitting:
            endings = sorted({name.rpartition(".")[2] for name in linear})
            raise InputError(
                f"{place} fits no linear layer (there are {linear[0]} and others that end in"
                f" {', '.join(endings)})",
                f"--layers '*.{endings[0]}={scheme}'",
            )
        if not any(name in left for name in fitting):
            raise InputError(
                f"{place} fits only layers that patterns before it have taken",
                "put it before them, or leave it out",
            )
        left = [name for name in left if name not in fitting]


def _scheme_for(name: str, config: QuantizeConfig) -> Scheme | None:
    for pattern, scheme in config.layers.items():
        if fnmatchcase(name, pattern):
            return None if scheme == "none" else scheme_named(scheme)
    return scheme_named(config.scheme)


def estimate_memory(
    plan: Plan, config: QuantizeConfig, rows: int, length: int, measured: int
) -> Estimate:
    """Upper bound on the memory of a quantization, estimated from shapes.

    Args:
        plan: the plan.
        config: the configuration.
        rows: number of calibration rows.
        length: tokens per row.
        measured: number of evaluation rows.
    """
    tensors = plan.checkpoint.tensors
    by_layer: dict[int, int] = {}
    for name, number in plan.layer_of.items():
        by_layer[number] = by_layer.get(number, 0) + 4 * tensors[name].num_elements
    layer = max(by_layer.values(), default=0)
    widths = [tensors[f"{name}.weight"].shape for name in plan.layers]
    inner = max(max(shape) for shape in widths)
    hidden = plan.checkpoint.config.get("hidden_size") or inner
    whole = (
        any(scheme.method == "gptq" for scheme, _ in plan.layers.values()) and config.passes == 1
    )
    tokens = rows * length if plan.calibrated else 0
    at_once = min(max(tokens, measured * length), max(config.chunk_tokens, length))
    waiting = tokens if whole else 0
    outside = sum(info.num_elements for name, info in tensors.items() if name not in plan.layer_of)
    most_inputs = max(shape[1] for shape in widths) if plan.calibrated else 0
    return Estimate(
        memory={
            "Python, torch and the model's modules": resident(),
            "a layer's weights, three times": 3 * layer,
            "hidden states": 4 * hidden * (2 * tokens + 4 * measured * length),
            "activations of one pass": 4 * at_once * (4 * hidden + 3 * inner),
            "what waits between layers' parts": 4 * waiting * (2 * hidden + max(inner, 3 * hidden)),
            "embeddings and head, where damage is measured": 4 * outside * bool(measured),
            "the artifact, opened for the check": plan.num_bytes + 4 * outside,
            "moments": 4 * 4 * most_inputs**2,
        },
        memory_note="an upper bound",
    )


def resident() -> int:
    """Resident memory of this process in bytes; outside Linux its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _size(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * item_size(spec.dtype)
