"""Quantizing a checkpoint: planned, layer by layer, sealed, completed atomically."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from polylect.base import InputError, Ledger, digest_of, plain, write_json
from polylect.checkpoints import (
    Checkpoint,
    Journal,
    Lineage,
    Parent,
    ShardWriter,
    block_ranges,
    read_raw,
    seal,
    to_bytes,
    to_floats,
)
from polylect.models import TORCH_DTYPES, replace_linear
from polylect.quantization.artifact_check import CHECKED, check_artifact, check_head
from polylect.quantization.calibration import Calibration, read_calibration
from polylect.quantization.config import RECORD, CalibrationConfig, QuantizeConfig
from polylect.quantization.damage import Damage, Streams, damage_of
from polylect.quantization.layer import LayerQuantizer, LayerResult, Loss
from polylect.quantization.output import carry_files, record_of
from polylect.quantization.plan import Plan, estimate_memory, make_plan, refuse_quantized
from polylect.quantization.progress import State, read_state, write_state
from polylect.quantization.stream import LayerStream
from polylect.runs import Estimate, Reporter, Silent, headline, kept_folder
from polylect.text import Tokenizer

QUANTIZE_VERSION = 4
"""Increment when the same request gives other bytes."""


@dataclass(frozen=True)
class QuantizeResult:
    """A quantized checkpoint.

    Attributes:
        checkpoint: the sealed checkpoint.
        damage: damage by language, largest divergence first; empty if nothing was measured.
        losses: calibration losses of linear layers.
        ledger: fallbacks, and tensors left unquantized.
        seconds: CPU and wall seconds.
    """

    checkpoint: Checkpoint
    damage: Sequence[Damage]
    losses: Sequence[Loss]
    ledger: Ledger = field(compare=False)
    seconds: Mapping[str, float] = field(compare=False, default_factory=dict)


@dataclass
class Prepared:
    """Everything known before a layer is quantized.

    Attributes:
        plan: the plan.
        calibration: calibration and evaluation rows; None if no scheme needs text and nothing is
            measured.
        estimate: of the memory.
        ledger: counts so far.
        stream: the decoder layers, without weights.
    """

    plan: Plan
    calibration: Calibration | None
    estimate: Estimate
    ledger: Ledger
    stream: LayerStream


def prepare(checkpoint: Checkpoint, config: QuantizeConfig, text: Path | None) -> Prepared:
    """Check everything that can be checked before weights are read.

    Args:
        checkpoint: a full-precision checkpoint with its tokenizer.
        config: the configuration.
        text: JSON lines for calibration and evaluation; None if no scheme needs text.

    Raises:
        InputError: see ``make_plan`` and ``read_calibration``; or a scheme needs text and none was
            given.
    """
    refuse_quantized(checkpoint)
    ledger = Ledger()
    checkpoint.check_beside()
    checkpoint.beside.count_left(ledger)
    stream = LayerStream(checkpoint)
    plan = _plan(stream, config, ledger)
    calibration = None
    if text is not None:
        calibration = _calibration(stream, config.calibration, text, ledger)
    elif plan.calibrated:
        raise InputError(f"{config.scheme} needs calibration text", "--calibration FILE.jsonl")
    rows = calibration.rows.ids.shape if calibration else (0, 0)
    measured = len(calibration.measured.ids) if calibration else 0
    estimate = estimate_memory(plan, config, rows[0], rows[1], measured)
    return Prepared(plan, calibration, estimate, ledger, stream)


def check_variants(checkpoint: Checkpoint, configs: Iterable[QuantizeConfig], text: Path) -> None:
    """Check what ``prepare`` would, for several configurations: each calibration is read once.

    Raises:
        InputError: see ``prepare``.
    """
    refuse_quantized(checkpoint)
    stream = LayerStream(checkpoint)
    seen: list[CalibrationConfig] = []
    for config in configs:
        _plan(stream, config, Ledger())
        if config.calibration not in seen:
            seen.append(config.calibration)
            _calibration(stream, config.calibration, text, Ledger())


def _plan(stream: LayerStream, config: QuantizeConfig, ledger: Ledger) -> Plan:
    linear = [f"{stream.prefix(number)}{name}" for number in range(len(stream.layers))
              for name in stream.linear_names(number)]  # fmt: skip
    layer_of = {name: number for number in range(len(stream.layers))
                for name in stream.own_tensors(number)}  # fmt: skip
    return make_plan(stream.checkpoint, config, linear, stream.outside_linear(), layer_of, ledger)


def _calibration(
    stream: LayerStream, config: CalibrationConfig, text: Path, ledger: Ledger
) -> Calibration:
    limit = getattr(stream.model.config.get_text_config(), "max_position_embeddings", None)
    tokenizer = Tokenizer.load(stream.checkpoint.path).within(stream.checkpoint.stated_rows)
    return read_calibration(text, tokenizer, config, int(limit or 1 << 20), ledger)


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
    """Quantize a checkpoint into the folder ``out``.

    One layer is in memory at a time, on one thread, so that the bytes do not depend on the number
    of threads. After a kill the same call continues with the next layer and gives the bytes of an
    uninterrupted run. The folder appears by one rename.

    Args:
        checkpoint: a full-precision checkpoint with its tokenizer.
        config: the configuration.
        text: JSON lines with ``text`` and ``language``; None if no scheme needs text.
        out: a missing or empty folder.
        report: receives progress.
        ready: result of ``prepare``, if it was called already.
        replace: whether to replace an existing folder, which is removed once the new one is
            complete.

    Raises:
        InputError: see ``prepare``; or a tensor is missing, or contains NaN or infinity; or the
            artifact, opened again, does not give the predictions that the damage was measured on.
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
    state = read_state(journal)
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
                _run_quantized(ready, number, result, streams, config)
        report.update(number + 1, num_layers, "layers")
        if number + 1 < num_layers:
            writer.flush()
            write_state(journal, State(number + 1, hidden, streams, losses, ledger))
    damage: list[Damage] = []
    expected = None
    if streams is not None:
        head = stream.finish()
        expected = check_head(stream, head, streams.quantized[:1, :CHECKED])
        damage = damage_of(streams, head, stream.after_layers)
    outputs = writer.finish()
    journal.close()
    total = ready.ledger + ledger
    carry_files(checkpoint, folder, dict(plan.config), config.embeddings)
    record = record_of(plan, config, calibration, damage, losses, total)
    write_json(folder / RECORD, record)
    worst = ""
    if damage:
        worst = f"most hurt: {damage[0].language} {damage[0].divergence:.4f} bits/token, "
    headline(f"{worst}{record['bytes']:,} bytes")
    sealed = seal(folder, lineage_of(ready, config), digests=outputs)
    check_artifact(sealed, stream, calibration, expected, partial(_refuse_read, ready, config))
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
    """Inputs of the next layer: from the embeddings, or from the saved state."""
    if calibration is None:
        return None, None, state.losses if state else [], state.ledger if state else Ledger()
    some = calibration.rows.ids[:1]
    if state is not None:
        stream.first_hidden(some)  # computes the layers' other arguments
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
    dtype = TORCH_DTYPES[ready.plan.scale_type]
    last = number + 1 == len(ready.stream.layers)
    return LayerQuantizer(ready.stream, number, layer_plan, config, dtype, ledger).run(
        hidden, last=last
    )


def _run_quantized(
    ready: Prepared, number: int, result: LayerResult, streams: Streams, config: QuantizeConfig
) -> None:
    """Advance the quantized stream through the layers that a loaded checkpoint would have."""
    stream = ready.stream
    layer = stream.layers[number]
    originals: dict[str, Any] = {}
    for name, stored in result.stored.items():
        originals[name] = layer.get_submodule(name)
        bias = originals[name].bias
        replace_linear(layer, name, stored.layer(bias.data if bias is not None else None))
    try:
        streams.quantized = stream.run(number, streams.quantized, config.chunk_tokens)
    except AttributeError as error:
        _refuse_read(ready, config, error)
        raise
    streams.note()
    for name, original in originals.items():
        replace_linear(layer, name, original)


def _refuse_read(ready: Prepared, config: QuantizeConfig, error: BaseException | None) -> None:
    """See ``LayerStream.refuse_read_weight``."""
    ready.stream.refuse_read_weight(error, config.layers, ready.plan.layers)


def _write_layer(
    plan: Plan, stream: LayerStream, number: int, result: LayerResult, writer: ShardWriter
) -> None:
    """Write every tensor of a layer: codes, scales, and folded tensors in their stored type."""
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
        value = values.get(stream.module_name(name).removeprefix(prefix))
        if value is None or original[name].dtype not in ("F32", "F16", "BF16"):
            _copy(plan, name, writer)
            continue
        writer.write(name, 0, to_bytes(value.detach().reshape(-1).numpy(), plan.copied[name]))


def _copy(plan: Plan, name: str, writer: ShardWriter) -> None:
    """Copy a tensor, converted to another float type if planned."""
    info, dtype = plan.checkpoint.tensors[name], plan.copied[name]
    if dtype == info.dtype:
        writer.copy(info)
        return
    for start, stop in block_ranges(info.num_elements, 1 << 22):
        raw = to_bytes(to_floats(read_raw(info, start, stop), info.dtype), dtype)
        writer.write(name, start, raw)


def _skip(
    writer: ShardWriter, plan: Plan, stream: LayerStream, outside: Sequence[str], done: int
) -> None:
    """Mark the tensors that an interrupted process wrote as written."""
    prefixes = tuple(stream.prefix(number) for number in range(done))
    kept = set(outside)
    for spec in plan.specs:
        if spec.name in kept or stream.module_name(spec.name).startswith(prefixes):
            num = writer.tensors[spec.name].num_elements
            writer.skip(spec.name, 0, num)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: sums must not depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
