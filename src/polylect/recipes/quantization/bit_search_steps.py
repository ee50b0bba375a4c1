"""Step of the bit search: score mixtures of two quantized checkpoints in memory, choose one."""

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylect.base import (
    CountOrZero,
    InputError,
    NonNegative,
    UndecidableError,
    check_settings,
    read_json,
    write_json,
)
from polylect.checkpoints import Checkpoint, item_size
from polylect.evals import EvalConfig, evaluate_engine, prepare_tasks
from polylect.quantization import RECORD, scheme_named
from polylect.runs import Silent, StepContext, StepInputs, step
from polylect.search import Archive, Entry, is_on_front
from polylect.text import Tokenizer

ARCHIVE = "archive.parquet"
FULL_BITS = 32.0
"""What the archive holds for a layer group that is not quantized."""


@dataclass(frozen=True, kw_only=True)
class BitSearchConfig:
    """A search for bits per layer group.

    Attributes:
        low: scheme of fewer bits.
        high: scheme of more.
        evaluation: likelihood tasks to score on; fewer bits are better.
        budget_bytes: most bytes of all tensors; 0 for no budget.
        floor: largest allowed relative increase of bits in the worst-hurt language.
    """

    low: str
    high: str
    evaluation: EvalConfig
    budget_bytes: CountOrZero = 0
    floor: NonNegative = 0.02

    def __post_init__(self) -> None:
        check_settings(self)


def groups_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Linear layers by layer group: attention and feed-forward of every decoder layer.

    A decoder layer is what is numbered, whatever its stack is called.

    >>> groups_of(["model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"])
    {'model.layers.0.mlp': ['model.layers.0.mlp.up_proj', 'model.layers.0.mlp.down_proj']}
    >>> [*groups_of(["transformer.h.0.attn.q_proj", "transformer.h.1.attn.q_proj"])]
    ['transformer.h.0.attn', 'transformer.h.1.attn']
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        match = re.match(r".*?\.\d+\.[^.]+", name)
        groups.setdefault(match[0] if match else name, []).append(name)
    return groups


def order_of_raising(
    single: Mapping[str, float], none: float, extra: Mapping[str, int]
) -> list[str]:
    """Groups by how much raising each alone helps the worst-hurt language, per byte it adds.

    Args:
        single: loss of the worst-hurt language with this group alone raised.
        none: its loss with no group raised.
        extra: bytes that raising a group adds.
    """
    return sorted(single, key=lambda name: (-(none - single[name]) / max(extra[name], 1), name))


@step(version=1)
def search_mixtures(config: BitSearchConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes the archive of all mixtures scored, and ``mixture.json``: the front and the choice.

    Scored are: all groups low, all high, each alone high, then groups raised one after another,
    first those that help the worst-hurt language most per byte. Killed and run again, it resumes.

    Inputs: ``model``, ``low`` and ``high`` (artifacts of ``quantize_checkpoint``).

    Raises:
        UndecidableError: no mixture keeps the floor within the budget.
    """
    for name in (config.low, config.high):
        scheme = scheme_named(name)
        if scheme.layout != "compressed-tensors" or scheme.method in ("awq", "smooth"):
            raise InputError(f"{name} cannot be mixed", "schemes without scaling: w8, w8a8, w4…")
    full, low, high = (Checkpoint.open(inputs[name].path) for name in ("model", "low", "high"))
    record = read_json(low.path / RECORD)
    groups = groups_of(list(record["layers"]))
    sizes = {"low": _sizes(low, groups), "high": _sizes(high, groups)}
    rest_bytes = _bytes(low) - sum(sizes["low"].values())
    mixtures = _Mixtures(full, low, high, groups, config, context)

    def loss_of(raised: frozenset[str], stage: str) -> float:
        bits = tuple(float(_bits(config, name in raised)) for name in groups)
        return _worst(mixtures.entry(bits, raised, stage), mixtures.full)[1]

    extra = {name: sizes["high"][name] - sizes["low"][name] for name in groups}
    none = loss_of(frozenset(), "ends")
    loss_of(frozenset(groups), "ends")
    single = {name: loss_of(frozenset({name}), "single") for name in groups}
    raised: list[str] = []
    for name in order_of_raising(single, none, extra)[:-1]:
        raised.append(name)
        loss_of(frozenset(raised), "raising")
    points: list[dict[str, Any]] = []
    high_bits = _bits(config, raised=True)
    for entry in mixtures.archive.entries[1:]:
        up = [name for name, bits in zip(groups, entry.vector, strict=True) if bits == high_bits]
        size = rest_bytes + sum(sizes["high" if name in up else "low"][name] for name in groups)
        tag, loss = _worst(entry, mixtures.full)
        points.append({"number": entry.number, "bytes": size, "language": tag, "loss": loss,
                       "raised": up, "stage": entry.stage})  # fmt: skip
    import numpy as np

    front = is_on_front(np.array([[-point["bytes"], -point["loss"]] for point in points]))
    for point, on_front in zip(points, front, strict=True):
        point["front"] = bool(on_front)
    shutil.copyfile(context.work / ARCHIVE, context.out / ARCHIVE)
    chosen = _choose(points, config)
    write_json(
        context.out / "mixture.json",
        {"groups": groups, "points": points, "chosen": chosen, "low": config.low,
         "high": config.high, "floor": config.floor, "budget_bytes": config.budget_bytes,
         "rest_bytes": rest_bytes},
    )  # fmt: skip


def _choose(points: Sequence[Mapping[str, Any]], config: BitSearchConfig) -> Mapping[str, Any]:
    """The smallest that keeps the floor within the budget; of equals the one that loses least."""
    budget = config.budget_bytes or math.inf
    fitting = [point for point in points if point["bytes"] <= budget]
    good = [point for point in fitting if point["loss"] <= config.floor]
    if not good:
        near = min(fitting or points, key=lambda point: (point["loss"], point["bytes"]))
        raise UndecidableError(
            f"no mixture keeps the worst language's loss within {config.floor:.2%}"
            f" in {config.budget_bytes or 'any number of'} bytes (nearest: {near['loss']:.2%} in"
            f" {near['language']}, {near['bytes']:,} bytes)",
            "raise --max-increase or --budget-mb, or name another --high",
        )
    return min(good, key=lambda point: (point["bytes"], point["loss"]))


class _Mixtures:
    """Mixtures of two quantized checkpoints in one loaded model, scored and archived."""

    def __init__(
        self,
        full: Checkpoint,
        low: Checkpoint,
        high: Checkpoint,
        groups: Mapping[str, list[str]],
        config: BitSearchConfig,
        context: StepContext,
    ) -> None:
        from polylect.engine import Engine
        from polylect.models import dynamic_of, load_model, low_bit_layer, replace_linear

        self._replace = replace_linear
        self._groups, self._config, self._context = groups, config, context
        self._model = load_model(full, ledger=context.ledger)
        names = [name for layers in groups.values() for name in layers]
        self._layers = {}
        for kind, checkpoint in (("low", low), ("high", high)):
            dynamic = dynamic_of(checkpoint.config["quantization_config"])
            for name in names:
                layer = low_bit_layer(checkpoint, name, dynamic)
                assert layer is not None, f"{checkpoint.path}: {name} is not quantized"
                self._layers[kind, name] = layer
        tokenizer = Tokenizer.load(full.path)
        self._engine = Engine(self._model, tokenizer, config.evaluation.engine)
        self._tasks = prepare_tasks(config.evaluation, full, context.ledger)
        identity = {"full": full.digest, "low": low.digest, "high": high.digest,
                    "asked": [task.settings for task in self._tasks]}  # fmt: skip
        self.archive = Archive(context.work / ARCHIVE, list(groups), identity)
        self.full = self._full_entry()

    def entry(self, bits: tuple[float, ...], raised: frozenset[str], stage: str) -> Entry:
        """The archive's entry of a mixture, scored if it is not there."""
        known = self.archive.find(bits)
        if known is not None:
            return known
        for group, names in self._groups.items():
            kind = "high" if group in raised else "low"
            for name in names:
                self._replace(self._model, name, self._layers[kind, name])
        return self._score(bits, stage)

    def _full_entry(self) -> Entry:
        bits = (FULL_BITS,) * len(self._groups)
        return self.archive.find(bits) or self._score(bits, "full")

    def _score(self, bits: tuple[float, ...], stage: str) -> Entry:
        scored = evaluate_engine(
            self._tasks, self._engine, self._config.evaluation, Silent(), self._context.ledger
        )
        self.archive.add([(bits, scored.scores)], stage, 0)
        # Progress by mixture: tokens start over with every mixture, and their pace would mislead.
        done, total = len(self.archive.entries), 2 * len(self._groups) + 2
        self._context.report.update(done, total, "mixtures", stage)
        return self.archive.entries[-1]


def _worst(entry: Entry, full: Entry) -> tuple[str, float]:
    """The language whose bits rise most against full precision, and the relative increase.

    A language's change is the mean over its tasks. Only metrics of bits count.
    """
    before = {(score.task, score.language, score.metric): score.value for score in full.scores}
    changes: dict[str, list[float]] = {}
    for score in entry.scores:
        old = before[score.task, score.language, score.metric]
        if score.metric.startswith("bits") and score.value is not None and old:
            changes.setdefault(score.language, []).append(score.value / old - 1.0)
    if not changes:
        raise InputError("the tasks give no bits", "name a likelihood task, e.g. ntrex_bits")
    means = {tag: sum(values) / len(values) for tag, values in changes.items()}
    worst = max(sorted(means), key=means.__getitem__)
    return worst, means[worst]


def _bits(config: BitSearchConfig, raised: bool) -> int:
    return scheme_named(config.high if raised else config.low).num_bits


def _bytes(checkpoint: Checkpoint, prefixes: tuple[str, ...] = ("",)) -> int:
    return sum(
        info.num_elements * item_size(info.dtype)
        for name, info in checkpoint.tensors.items()
        if name.startswith(prefixes)
    )


def _sizes(checkpoint: Checkpoint, groups: Mapping[str, list[str]]) -> dict[str, int]:
    return {
        group: _bytes(checkpoint, tuple(f"{name}." for name in names))
        for group, names in groups.items()
    }
