"""From a checkpoint to a quantized one: planned, layer by layer, sealed, made to appear."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from polylect.base import InputError, Ledger, digest_of, plain, write_json
from polylect.checkpoints import (
    Checkpoint,
    Lineage,
    Parent,
    ShardWriter,
    read_raw,
    seal,
    to_bytes,
    to_floats,
)
from polylect.models import head_of, replace_linear
from polylect.quantization.calibration import Calibration, read_calibration
from polylect.quantization.config import RECORD, QuantizeConfig
from polylect.quantization.damage import Damage, Streams, damage_of
from polylect.quantization.journal import Journal, State
from polylect.quantization.layer import LayerQuantizer, LayerResult, Loss
from polylect.quantization.output import carry_files, record_of
from polylect.quantization.plan import Memory, Plan, make_plan, memory_of, refuse_quantized
from polylect.quantization.stream import LayerStream
from polylect.runs import Reporter, Silent, kept_folder
from polylect.text import Tokenizer

QUANTIZE_VERSION = 2
"""Raised when the same request gives other bytes."""

_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class QuantizeResult:
    """A quantized checkpoint.

    Attributes:
        checkpoint: sealed.
        damage: by language, the largest divergence first; empty where nothing was measured.
        losses: of linear layers whose loss on the calibration was computed.
        ledger: what fell back or was left as it is.
        seconds: CPU and wall seconds of the quantizing.
    """

    checkpoint: Checkpoint
    damage: Sequence[Damage]
    losses: Sequence[Loss]
    ledger: Ledger = field(compare=False)
    seconds: Mapping[str, float] = field(compare=False, default_factory=dict)


@dataclass
class Prepared:
    """What is known before any layer is quantized.

    Attributes:
        plan: which layers how.
        calibration: None where no scheme needs text and nothing is measured.
        memory: what it will take.
        ledger: what was counted.
        stream: the model's layers, without weights.
    """

    plan: Plan
    calibration: Calibration | None
    memory: Memory
    ledger: Ledger
    stream: LayerStream


def prepare(checkpoint: Checkpoint, config: QuantizeConfig, text: Path | None) -> Prepared:
    """All that can be refused, is refused here; no weight is read but embeddings.

    Args:
        checkpoint: in full precision, with its tokenizer.
        config: what is asked.
        text: JSON lines for calibration and measuring; may be None for schemes without.

    Raises:
        InputError: see ``make_plan`` and ``read_calibration``; a scheme needs text and there is
            none.
    """
    refuse_quantized(checkpoint)
    ledger = Ledger()
    stream = LayerStream(checkpoint)
    linear = [f"{stream.prefix(number)}{name}" for number in range(len(stream.layers))
              for name in stream.linear_names(number)]  # fmt: skip
    plan = make_plan(checkpoint, config, linear, ledger)
    calibration = None
    if text is not None:
        limit = getattr(stream.model.config.get_text_config(), "max_position_embeddings", None)
        calibration = read_calibration(
            text, Tokenizer.load(checkpoint.path), config.calibration, int(limit or 1 << 20), ledger
        )
    elif plan.calibrated:
        raise InputError(f"{config.scheme} needs text to calibrate on", "--calibration FILE.jsonl")
    rows = calibration.rows.ids.shape if calibration else (0, 0)
    measured = len(calibration.measured.ids) if calibration else 0
    memory = memory_of(plan, config, rows[0], rows[1], measured)
    return Prepared(plan, calibration, memory, ledger, stream)


def quantize(
    checkpoint: Checkpoint,
    config: QuantizeConfig,
    text: Path | None,
    out: Path,
    report: Reporter | None = None,
    *,
    ready: Prepared | None = None,
    replace: bool = False,
) -> QuantizeResult:
    """A quantized checkpoint at ``out``.

    One layer is in memory at a time, on one thread: the same bytes whatever the threads of the
    machine. Killed at any moment, the same call goes on after the last finished layer and gives the
    bytes of an uninterrupted one. The folder appears by one rename.

    Args:
        checkpoint: in full precision, with its tokenizer.
        config: what is asked.
        text: JSON lines with ``text`` and ``language``; may be None where no scheme needs it.
        out: nothing, or an empty folder.
        report: told the finished layers.
        ready: of ``prepare``, where it was called already.
        replace: also where something lies, which is removed once the new folder is complete.

    Raises:
        InputError: see ``prepare``; a tensor is missing, or holds NaN or infinity.
        StorageError: the disk is full or the folder cannot be written.
    """
    with _one_thread():
        ready = ready or prepare(checkpoint, config, text)
        started = time.process_time(), time.monotonic()
        with kept_folder(out, replace=replace) as folder:
            result = _quantize(ready, config, folder, report or Silent())
        cpu, wall = time.process_time() - started[0], time.monotonic() - started[1]
    return QuantizeResult(
        Checkpoint.open(out), result.damage, result.losses, result.ledger,
        {"cpu": cpu, "wall": wall},
    )  # fmt: skip


def _quantize(
    ready: Prepared, config: QuantizeConfig, folder: Path, report: Reporter
) -> QuantizeResult:
    plan, stream, calibration = ready.plan, ready.stream, ready.calibration
    checkpoint, num_layers = plan.checkpoint, len(stream.layers)
    key = digest_of(
        {
            "version": QUANTIZE_VERSION, "config": plain(config), "weights": checkpoint.digest,
            "text": calibration.digest if calibration else "", "torch": torch.__version__,
        }
    )  # fmt: skip
    journal = Journal(folder, key)
    state = journal.read()
    writer = ShardWriter(folder, plan.specs, max_shard_bytes=config.shard_bytes, keep=True)
    inside = [name for number in range(num_layers) for name in stream.own_tensors(number)]
    outside = [name for name in checkpoint.tensors if name not in set(inside)]
    start = _begin(stream, calibration, plan.calibrated, state)
    if state is None:
        for name in outside:
            _copy(plan, name, writer)
    else:
        _skip(writer, plan, stream, outside, state.num_layers)
    hidden, streams, losses, ledger = start
    for number in range(state.num_layers if state else 0, num_layers):
        with stream.loaded(number):
            if streams is not None:
                streams.full = stream.run(number, streams.full, config.chunk_tokens)
            result = _layer(ready, config, number, hidden, ledger)
            hidden = result.hidden
            losses += result.losses
            _write_layer(plan, stream, number, result, writer)
            if streams is not None:
                _run_quantized(stream, number, result, streams, config)
        report.update(number + 1, num_layers, "layers")
        if number + 1 < num_layers:
            writer.flush()
            journal.write(State(number + 1, hidden, streams, losses, ledger))
    damage: list[Damage] = []
    if streams is not None:
        model = stream.finish()
        with torch.no_grad():
            damage = damage_of(streams, head_of(model), stream.final_norm())
    outputs = writer.finish()
    journal.close()
    total = ready.ledger + ledger
    carry_files(checkpoint, folder, dict(plan.config), config.embeddings)
    record = record_of(plan, config, calibration, damage, losses, total)
    write_json(folder / RECORD, record)
    sealed = seal(folder, lineage_of(ready, config), digests=outputs)
    return QuantizeResult(sealed, damage, losses, total)


def lineage_of(ready: Prepared, config: QuantizeConfig) -> Lineage:
    """The lineage of the quantized checkpoint; reads the digest of the full-precision one."""
    checkpoint, calibration = ready.plan.checkpoint, ready.calibration
    parent = Parent(
        label=checkpoint.path.name, digest=checkpoint.digest, license=checkpoint.license
    )
    return Lineage(
        method=config.scheme,
        settings={
            "quantize": plain(config),
            "calibration": calibration.digest if calibration else "",
        },
        parents=(parent,),
        license=checkpoint.license,
    )


def _begin(
    stream: LayerStream, calibration: Calibration | None, calibrated: bool, state: State | None
) -> tuple[torch.Tensor | None, Streams | None, list[Loss], Ledger]:
    """What the next layer reads: from the embeddings, or from where a killed process was."""
    if calibration is None:
        return None, None, state.losses if state else [], state.ledger if state else Ledger()
    some = calibration.rows.ids[:1]
    if state is not None:
        stream.first_hidden(some)  # what layers are handed besides hidden states
        return state.hidden, state.streams, state.losses, state.ledger
    hidden = stream.first_hidden(calibration.rows.ids if calibrated else some)
    streams = None
    if len(calibration.measured.ids):
        first = stream.first_hidden(calibration.measured.ids)
        streams = Streams(calibration.measured.languages, first, first)
    return hidden if calibrated else None, streams, [], Ledger()


def _layer(
    ready: Prepared,
    config: QuantizeConfig,
    number: int,
    hidden: torch.Tensor | None,
    ledger: Ledger,
) -> LayerResult:
    prefix = ready.stream.prefix(number)
    layer_plan = {name.removeprefix(prefix): choice for name, choice in ready.plan.layers.items()
           if name.startswith(prefix)}  # fmt: skip
    dtype = _TYPES[ready.plan.scale_type]
    last = number + 1 == len(ready.stream.layers)
    return LayerQuantizer(ready.stream, number, layer_plan, config, dtype, ledger).run(
        hidden, last=last
    )


def _run_quantized(
    stream: LayerStream, number: int, result: LayerResult, streams: Streams, config: QuantizeConfig
) -> None:
    """The quantized stream through the layers that a loaded checkpoint would have."""
    layer = stream.layers[number]
    originals: dict[str, Any] = {}
    for name, stored in result.stored.items():
        originals[name] = layer.get_submodule(name)
        bias = originals[name].bias
        replace_linear(layer, name, stored.layer(bias.data if bias is not None else None))
    streams.quantized = stream.run(number, streams.quantized, config.chunk_tokens)
    streams.note()
    for name, original in originals.items():
        replace_linear(layer, name, original)


def _write_layer(
    plan: Plan, stream: LayerStream, number: int, result: LayerResult, writer: ShardWriter
) -> None:
    """Every tensor of a layer: codes and scales, and what was folded, in its own type."""
    prefix, layer = stream.prefix(number), stream.layers[number]
    for name, stored in result.stored.items():
        for ending, value in stored.tensors().items():
            raw = value.contiguous().reshape(-1).view(torch.uint8).numpy()
            writer.write(f"{prefix}{name}.{ending}", 0, raw)
    values = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    original = plan.checkpoint.tensors
    for name in stream.own_tensors(number):
        if name not in plan.copied:
            continue
        value = values.get(name.removeprefix(prefix))
        if value is None or original[name].dtype not in _TYPES:
            _copy(plan, name, writer)
            continue
        writer.write(name, 0, to_bytes(value.detach().reshape(-1).numpy(), plan.copied[name]))


def _copy(plan: Plan, name: str, writer: ShardWriter) -> None:
    """A tensor as it is, or in another float type."""
    info, dtype = plan.checkpoint.tensors[name], plan.copied[name]
    step = 1 << 22
    for start in range(0, max(info.num_elements, 1), step):
        raw = read_raw(info, start, min(start + step, info.num_elements))
        if dtype != info.dtype:
            raw = to_bytes(to_floats(raw, info.dtype), dtype)
        writer.write(name, start, raw)


def _skip(
    writer: ShardWriter, plan: Plan, stream: LayerStream, outside: Sequence[str], done: int
) -> None:
    """Count as written what a killed process wrote."""
    prefixes = tuple(stream.prefix(number) for number in range(done))
    kept = set(outside)
    for spec in plan.specs:
        if spec.name in kept or spec.name.startswith(prefixes):
            num = writer.tensors[spec.name].num_elements
            writer.skip(spec.name, 0, num)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums must not depend on the machine's threads, and columns are too short to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
