"""``train.pretrain``, ``train.sft``, ``train.preference``, ``train.reward``, ``train.online``."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.notices import notice
from polylect.api.results import Plan, Result, out_folder, run_call
from polylect.api.training_options import (
    OnlineOptions,
    PreferenceOptions,
    PretrainOptions,
    RewardOptions,
    SftOptions,
)
from polylect.api.verbs import verb
from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.base import Ledger

if TYPE_CHECKING:
    import polars

    from polylect.checkpoints import Checkpoint
    from polylect.engine import RewardSource
    from polylect.runs import Call, Input
    from polylect.training import (
        OnlineConfig,
        PreferenceConfig,
        RewardConfig,
        SftConfig,
        TextConfig,
        Tracker,
    )

    Options = SftOptions | PreferenceOptions | RewardOptions | OnlineOptions
    Lines = Callable[[Ledger], list[str]]
    Config = SftConfig | PreferenceConfig | RewardConfig | OnlineConfig


class Trained(Result):
    """A trained checkpoint, its metrics and its page."""

    @property
    def is_silent(self) -> bool:
        """Under torchrun only the first process speaks."""
        return _rank() > 0

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """The handle of the trained checkpoint; nothing is loaded."""
        from polylect.checkpoints import Checkpoint

        return Checkpoint.open(self.path)

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of every step, those by language inside."""
        lines = (self.path / "metrics.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def table(self) -> "polars.DataFrame":
        """A row per step, with its metrics over all languages."""
        import polars

        rows = [
            {name: value for name, value in row.items() if not isinstance(value, Mapping | list)}
            for row in self.metrics
        ]
        return polars.DataFrame(rows, infer_schema_length=None)

    def lines(self) -> list[str]:
        """What was counted, and the page."""
        return [*self.ledger.lines(), str(self.page)]


@verb("train pretrain", PretrainOptions, name="train.pretrain")
def train_pretrain(options: PretrainOptions) -> Trained | Plan:
    """Train a checkpoint further on documents, by the loss on every token.

    Returns a ``Trained``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    step.

        pl.train.pretrain("base", "texts", out="adapted")
    """
    from polylect.checkpoints import Checkpoint
    from polylect.mixtures import FolderSource
    from polylect.runs import Call, Files
    from polylect.training import TextConfig, pretrain_text

    source = FolderSource(
        options.data, options.default_language or None, "text", options.settings.identifier
    )
    rate = _rate(options, TextConfig(), Checkpoint.open(options.model))
    config = replace(
        options.settings,
        stages=options.mixing.stages(),
        optim=replace(options.optim, learning_rate=rate),
    )
    call = Call(pretrain_text, "train-pretrain", config,
                {"model": Files(options.model), "text": source})  # fmt: skip

    def lines(counts: Ledger) -> list[str]:
        from polylect.training import forecast_text

        return forecast_text(config, options.model, source, counts)

    return _run("pretrain", options, call, lines)


@verb("train sft", SftOptions, name="train.sft")
def train_sft(options: SftOptions) -> Trained | Plan:
    """Fine-tune a checkpoint on conversations.

    Returns a ``Trained``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    step.

        pl.train.sft("base", "chats.jsonl", out="tuned")
    """
    return _train("sft", options)


@verb("train preference", PreferenceOptions, name="train.preference")
def train_preference(options: PreferenceOptions) -> Trained | Plan:
    """Align a checkpoint with preferences.

    Returns a ``Trained``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    step.

        pl.train.preference("tuned", "pairs.jsonl", objective="dpo", out="aligned")
    """
    from polylect.training import PREFERENCE_OPTIONS

    _refuse_unused("preference", options, options.settings.objective, PREFERENCE_OPTIONS)
    return _train("preference", options)


@verb("train reward", RewardOptions, name="train.reward")
def train_reward(options: RewardOptions) -> Trained | Plan:
    """Train a reward model on preferences.

    Returns a ``Trained``, which may be given as the reward of ``train.online``.

        pl.train.reward("tuned", "pairs.jsonl", held_out="held.jsonl", out="judge")
    """
    return _train("reward", options)


@verb("train online", OnlineOptions, name="train.online")
def train_online(options: OnlineOptions) -> Trained | Plan:
    """Train a checkpoint on its own answers, in rounds: generate, score, learn.

    Returns a ``Trained``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    step.

        pl.train.online("aligned", "prompts.jsonl", reward="judge", out="better")
    """
    from polylect.training import ONLINE_OPTIONS

    _refuse_unused("online", options, options.settings.objective, ONLINE_OPTIONS)
    return _train("online", options)


def _refuse_unused(
    kind: str,
    options: "PreferenceOptions | OnlineOptions",
    objective: str,
    table: Mapping[str, Iterable[str]],
) -> None:
    """Refuse options that the objective would ignore.

    Raises:
        InputError: names the option and the objectives that it belongs to.
    """
    reasons: dict[str, tuple[str, str]] = {}
    for name in dict.fromkeys(option for used in table.values() for option in used):
        users = [user for user, used in table.items() if name in used]
        if objective not in users:
            hint = f"leave it out; it belongs to --objective {', '.join(users)}"
            reasons[name] = (f"{objective} does not use it", hint)
    refuse_without_effect(f"train {kind}", options, reasons, group="settings")


def _train(kind: str, options: "Options") -> Trained | Plan:
    from polylect.checkpoints import Checkpoint
    from polylect.runs import Call
    from polylect.training import online, preference, reward, sft

    if options.examples.probes == 0:
        reasons = for_each(
            ("probe_prompts", "probe_tokens", "identifier"),
            "--probes 0 asks nothing",
            "leave one of them out",
        )
        refuse_without_effect(f"train {kind}", options, reasons, group="examples")
    config = _config(options, Checkpoint.open(options.model))
    step = {"sft": sft, "preference": preference, "reward": reward, "online": online}[kind]
    source = _reward(options)
    call = Call(step, f"train-{kind}", config, _inputs(options, source))

    def lines(counts: Ledger) -> list[str]:
        from polylect.training import forecast

        held_out = _held_out(options)
        return forecast(kind, config, options.model, options.data, held_out, source, counts)

    return _run(kind, options, call, lines)


def _run(
    kind: str, options: "Options | PretrainOptions", call: "Call", forecast: "Lines"
) -> Trained | Plan:
    """Run a training, under torchrun too; ``forecast`` says what it would do, and counts."""
    from polylect.base import gc_paused
    from polylect.report import write_training_page
    from polylect.runs import finished_at, join

    verb_name = call.label
    out = out_folder(options.output, verb_name, call.key)
    call = replace(call, label=out.name)
    if _rank() > 0:
        # torchrun: the first process writes, speaks and decides, the others only compute.
        if not options.output.dry_run:
            from polylect.training import Dismissed

            with suppress(Dismissed):
                join(call, out)
        return Trained(out)
    lines: list[str] = []
    counts = Ledger()
    tracker = None
    if finished_at(call, out, force=options.output.force) is None:
        with gc_paused():
            from polylect.training import load_tracker
        if options.tracker != "none":
            load_tracker(options.tracker)
        lines = forecast(counts)
        if not options.output.dry_run:
            for line in lines:
                notice(line)
            tracker = _tracker(options.tracker, out, call)
    watchers = [tracker.metrics] if tracker else ()
    result = run_call(
        call,
        options.output,
        verb_name,
        Trained,
        lambda _: [*lines, *counts.lines()],
        watchers,
    )
    if tracker:
        tracker.close()
    if isinstance(result, Trained):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from polylect.training import dismiss

            dismiss()
        write_training_page(result.path, kind)
    return result


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _inputs(options: "Options", source: "RewardSource | None") -> "dict[str, Input]":
    """What the training reads; it must be there before anything is computed."""
    from polylect.runs import Files

    inputs: dict[str, Input] = {"model": Files(options.model), "data": Files(options.data)}
    held_out = _held_out(options)
    if held_out is not None:
        inputs["held_out"] = Files(held_out)
        _ = inputs["held_out"].digest
    if source is not None:
        inputs["reward"] = source
    return inputs


def _held_out(options: "Options") -> Path | None:
    is_measured = isinstance(options, PreferenceOptions | RewardOptions)
    return options.held_out if is_measured else None


def _reward(options: "Options") -> "RewardSource | None":
    """The reward of online training; None for the other kinds."""
    if not isinstance(options, OnlineOptions):
        return None
    from polylect.recipes import find_reward

    return find_reward(options.reward)


def _tracker(name: str, out: Path, call: "Call") -> "Tracker | None":
    """The tracker of ``--tracker``; None without one."""
    if name == "none":
        return None
    from polylect.base import plain
    from polylect.training import Tracker

    return Tracker(name, "polylect", out.name, call.key, plain(call.config))


def _rate(
    options: "Options | PretrainOptions", default: "Config | TextConfig", checkpoint: "Checkpoint"
) -> float:
    """The learning rate of the options, or the default one for the model's size."""
    from polylect.training import default_rate

    if options.learning_rate is not None:
        return options.learning_rate
    return default_rate(default.optim.learning_rate, checkpoint.num_parameters)


def _config(options: "Options", checkpoint: "Checkpoint") -> "Config":
    """The configuration of the options, with the default learning rate for the model's size."""
    from polylect.training import SftConfig

    settings = SftConfig() if isinstance(options, SftOptions) else options.settings
    rate = _rate(options, type(settings)(), checkpoint)
    return replace(
        settings,
        examples=replace(options.examples, stages=options.mixing.stages()),
        optim=replace(options.optim, learning_rate=rate),
    )
