"""Steps of the search over schemes: evaluate mixtures of two artifacts in memory, choose one."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylect.base import InputError, UndecidableError, import_heavy, read_json, write_json
from polylect.checkpoints import Checkpoint, item_size
from polylect.evals import EvalConfig, build_cells, evaluate_engine
from polylect.quantization import RECORD, scheme_named
from polylect.runs import Silent, StepContext, step
from polylect.search import Archive, Entry, is_on_front
from polylect.text import Tokenizer

ARCHIVE = "archive.parquet"
FULL_BITS = 32.0
"""What the archive holds for a layer group that is not quantized."""


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """A search over schemes by layer group.

    Attributes:
        low: scheme of fewer bits.
        high: scheme of more.
        evaluation: tasks that the worst language is told from; lower bits are better.
        budget_bytes: most bytes of all tensors; 0 for no budget.
        floor: largest allowed relative increase of the worst language's bits.
    """

    low: str
    high: str
    evaluation: EvalConfig
    budget_bytes: int = 0
    floor: float = 0.02


def groups_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Linear layers by layer group: attention and feed-forward of every decoder layer."""
    found: dict[str, list[str]] = {}
    for name in names:
        head, _, rest = name.rpartition(".layers.")
        number, _, inner = rest.partition(".")
        found.setdefault(f"{head}.layers.{number}.{inner.split('.')[0]}", []).append(name)
    return found


def order_of_raising(
    single: Mapping[str, float], none: float, extra: Mapping[str, int]
) -> list[str]:
    """Groups by how much raising each alone helps the worst language for every byte it adds.

    Args:
        single: worst language's loss with this group alone raised.
        none: with no group raised.
        extra: bytes that raising a group adds.
    """
    return sorted(single, key=lambda name: (-(none - single[name]) / max(extra[name], 1), name))


@step(version=1)
def search_mixtures(config: MixConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes the archive of all mixtures that were scored, and ``mixture.json``: front and choice.

    All groups low, all high, each alone high, then raised one after another in the order of what
    each helps the worst language for its bytes. Killed and run again, it goes on.

    Inputs: ``model``, ``low`` and ``high`` (artifacts of ``quantize_checkpoint``).

    Raises:
        UndecidableError: nothing that was tried keeps the floor within the budget.
    """
    for name in (config.low, config.high):
        scheme = scheme_named(name)
        if scheme.layout != "compressed-tensors" or scheme.method in ("awq", "smooth"):
            raise InputError(f"{name} cannot be mixed", "schemes without scaling: w8, w8a8, w4…")
    full, low, high = (Checkpoint.open(inputs[one].path) for one in ("model", "low", "high"))
    record = read_json(low.path / RECORD)
    groups = groups_of(list(record["layers"]))
    sizes = {kind: _sizes(one, groups) for kind, one in (("low", low), ("high", high))}
    rest = _bytes(low) - sum(sizes["low"].values())
    mixtures = _Mixtures(full, low, high, groups, config, context)

    def lose(raised: frozenset[str], stage: str) -> float:
        bits = tuple(float(_bits(config, name in raised)) for name in groups)
        return _worst(mixtures.entry(bits, raised, stage), mixtures.full)[1]

    extra = {name: sizes["high"][name] - sizes["low"][name] for name in groups}
    none = lose(frozenset(), "ends")
    lose(frozenset(groups), "ends")
    single = {name: lose(frozenset({name}), "single") for name in groups}
    raised: list[str] = []
    for name in order_of_raising(single, none, extra)[:-1]:
        raised.append(name)
        lose(frozenset(raised), "raising")
    points: list[dict[str, Any]] = []
    for entry in mixtures.archive.entries[1:]:
        up = [name for name, bits in zip(groups, entry.vector, strict=True)
              if bits == _bits(config, raised=True)]  # fmt: skip
        size = rest + sum(sizes["high" if name in up else "low"][name] for name in groups)
        tag, loss = _worst(entry, mixtures.full)
        points.append({"number": entry.number, "bytes": size, "language": tag, "loss": loss,
                       "raised": up, "stage": entry.stage})  # fmt: skip
    import numpy as np

    front = is_on_front(np.array([[-one["bytes"], -one["loss"]] for one in points]))
    for one, on in zip(points, front, strict=True):
        one["front"] = bool(on)
    shutil.copyfile(context.work / ARCHIVE, context.out / ARCHIVE)
    chosen = _choose(points, config)
    write_json(
        context.out / "mixture.json",
        {"groups": groups, "points": points, "chosen": chosen, "low": config.low,
         "high": config.high, "floor": config.floor, "budget_bytes": config.budget_bytes,
         "rest_bytes": rest},
    )  # fmt: skip


def _choose(points: Sequence[Mapping[str, Any]], config: MixConfig) -> Mapping[str, Any]:
    """The smallest that keeps the floor within the budget; of equals the one that loses least."""
    fits = [one for one in points if not config.budget_bytes or one["bytes"] <= config.budget_bytes]
    good = [one for one in fits if one["loss"] <= config.floor]
    if not good:
        near = min(fits or points, key=lambda one: (one["loss"], one["bytes"]))
        raise UndecidableError(
            f"nothing that was tried keeps the worst language's loss within {config.floor:.2%}"
            f" in {config.budget_bytes or 'any number of'} bytes (nearest: {near['loss']:.2%} in"
            f" {near['language']}, {near['bytes']:,} bytes)",
            "raise --floor or --budget-mb, or name another --high",
        )
    return min(good, key=lambda one: (one["bytes"], one["loss"]))


class _Mixtures:
    """Mixtures of two artifacts in one loaded model, scored and remembered."""

    def __init__(
        self,
        full: Checkpoint,
        low: Checkpoint,
        high: Checkpoint,
        groups: Mapping[str, list[str]],
        config: MixConfig,
        context: StepContext,
    ) -> None:
        models = import_heavy("polylect.models")
        quantized = import_heavy("polylect.models.quantized")
        self._replace = import_heavy("polylect.models.low_bit").replace_linear
        self._groups, self._config, self._context = groups, config, context
        engine = import_heavy("polylect.engine")
        self._model = models.load_model(full, ledger=context.ledger)
        names = [name for own in groups.values() for name in own]
        self._layers = {
            kind: {
                name: quantized.low_bit_layer(
                    one, name, quantized.dynamic_of(one.config["quantization_config"])
                )
                for name in names
            }
            for kind, one in (("low", low), ("high", high))
        }
        tokenizer = Tokenizer.load(full.path)
        self._engine = engine.Engine(self._model, tokenizer, config.evaluation.engine)
        self._cells = build_cells(config.evaluation, full, context.ledger)
        identity = {"full": full.digest, "low": low.digest, "high": high.digest,
                    "asked": [one.settings for one in self._cells]}  # fmt: skip
        self.archive = Archive(context.work / ARCHIVE, list(groups), identity)
        self.full = self._full_entry()

    def entry(self, bits: tuple[float, ...], raised: frozenset[str], stage: str) -> Entry:
        """The archive's entry of a mixture, scored if it is not there."""
        found = self.archive.find(bits)
        if found is not None:
            return found
        for group, names in self._groups.items():
            kind = "high" if group in raised else "low"
            for name in names:
                self._replace(self._model, name, self._layers[kind][name])
        return self._score(bits, stage)

    def _full_entry(self) -> Entry:
        bits = (FULL_BITS,) * len(self._groups)
        found = self.archive.find(bits)
        return found if found is not None else self._score(bits, "full")

    def _score(self, bits: tuple[float, ...], stage: str) -> Entry:
        scored = evaluate_engine(
            self._cells, self._engine, self._config.evaluation, Silent(), self._context.ledger
        )
        self.archive.add([(bits, scored.scores)], stage, 0)
        # Not tokens: these begin anew with every mixture, and their pace would mislead.
        done, most = len(self.archive.entries), 2 * len(self._groups) + 2
        self._context.report.update(done, most, "mixtures", stage)
        return self.archive.entries[-1]


def _worst(entry: Entry, full: Entry) -> tuple[str, float]:
    """The language whose bits rise most against full precision, in parts, and by how much.

    A language's change is the mean over its tasks. Only metrics of bits count.
    """
    before = {(one.task, one.language, one.metric): one.value for one in full.scores}
    changes: dict[str, list[float]] = {}
    for one in entry.scores:
        old = before[one.task, one.language, one.metric]
        if one.metric.startswith("bits") and one.value is not None and old:
            changes.setdefault(one.language, []).append(one.value / old - 1.0)
    if not changes:
        raise InputError("the tasks give no bits", "name a task of likelihood, e.g. ntrex_bits")
    means = {tag: sum(own) / len(own) for tag, own in changes.items()}
    worst = max(sorted(means), key=means.__getitem__)
    return worst, means[worst]


def _bits(config: MixConfig, raised: bool) -> int:
    return scheme_named(config.high if raised else config.low).num_bits


def _bytes(checkpoint: Checkpoint, prefixes: tuple[str, ...] = ("",)) -> int:
    own = [info for name, info in checkpoint.tensors.items() if name.startswith(prefixes)]
    return sum(info.num_elements * item_size(info.dtype) for info in own)


def _sizes(checkpoint: Checkpoint, groups: Mapping[str, list[str]]) -> dict[str, int]:
    return {
        group: _bytes(checkpoint, tuple(f"{name}." for name in names))
        for group, names in groups.items()
    }
