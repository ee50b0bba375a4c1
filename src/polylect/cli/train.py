"""``polylect train``: fine-tune, align with preferences, train rewards, learn from own answers."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from polylect.api.without_effect import for_each, refuse_without_effect
from polylect.cli.options import parse
from polylect.cli.results import finish, print_lines, say_already_there
from polylect.cli.train_options import Options
from polylect.training import (
    FINETUNE_OPTIM,
    ExamplesConfig,
    ExampleStage,
    Objective,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    SftConfig,
)

if TYPE_CHECKING:
    from polylect.engine import RewardSource
    from polylect.runs import Call, Input
    from polylect.training import Tracker

CONFIGS = {
    "sft": SftConfig,
    "preference": PreferenceConfig,
    "reward": RewardConfig,
    "online": OnlineConfig,
}
"""Configuration of each kind of training."""
_KINDS = {
    "held_out": ["preference", "reward"],
    "reward": ["online"],
    "turns": ["sft"],
    "probes": ["sft", "preference"],
    "probe_prompts": ["sft", "preference"],
    "probe_tokens": ["sft", "preference"],
    "identifier": ["sft", "preference", "online"],
}
"""Kinds of training that use an option, where it is not a field of their configuration."""
_OBJECTIVES = {
    "label_smoothing": ("dpo", "robust-dpo", "srpo"),
    "alpha": ("srpo",),
    "self_refine_prompt": ("srpo",),
    "margin": ("simpo",),
    "sft_weight": get_args(Objective),
}
"""Objectives that use an option, where not all do."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect train sft|preference|reward|online``."""
    code = _train(arguments)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Everything is written. Taking the communication library down with the interpreter can
        # abort a process that is done, and torchrun would then kill the one that still writes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _train(arguments: Sequence[str]) -> int:
    options = parse(Options, arguments, "train")
    from polylect.base import InputError, gc_paused
    from polylect.checkpoints import Checkpoint

    _check_kind(options)
    from polylect.recipes import find_reward
    from polylect.report import write_training_page
    from polylect.runs import Call, Files, finished_at, join
    from polylect.training import online, preference, reward, sft

    checkpoint = Checkpoint.open(options.model)
    config = _config(options, checkpoint.num_parameters)
    steps = {"sft": sft, "preference": preference, "reward": reward, "online": online}
    inputs: dict[str, Input] = {"model": Files(options.model), "data": Files(options.data)}
    if options.held_out is not None:
        inputs["held_out"] = Files(options.held_out)
        _ = inputs["held_out"].digest  # it must be there before anything is computed
    source: RewardSource | None = None
    if options.kind == "online":
        if options.reward is None:
            raise InputError(
                "train online: --reward is missing",
                "a folder of polylect train reward, FILE.py:function, or language",
            )
        source = find_reward(options.reward)
        inputs["reward"] = source
    call = Call(steps[options.kind], options.out.name, config, inputs)
    if int(os.environ.get("RANK", "0")) > 0:
        # torchrun: the first process writes, speaks and decides, the others only compute.
        if not options.dry_run:
            from polylect.training import Dismissed

            with suppress(Dismissed):
                join(call, options.out)
        return 0
    planned: list[str] = []
    if finished_at(call, options.out, force=options.force) is not None:
        if options.dry_run:
            say_already_there(options.out)
            return 0
        artifact = finish(call, options.out, force=False)
    else:
        with gc_paused():
            from polylect.training import forecast, load_tracker
        if options.tracker != "none":
            load_tracker(options.tracker)
        planned = forecast(
            options.kind, config, options.model, options.data, options.held_out, source
        )
        print_lines(planned)
        sys.stdout.flush()
        if options.dry_run:
            return 0
        tracker = _tracker(options, call)
        artifact = finish(
            call, options.out, force=options.force, watchers=[tracker.metrics] if tracker else ()
        )
        if tracker:
            tracker.close()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from polylect.training import dismiss

        dismiss()
    page = write_training_page(artifact.path, options.kind)
    # What was said before it began is not said again.
    print_lines([*(line for line in artifact.ledger.lines() if line not in planned), page])
    return 0


def _tracker(options: Options, call: "Call") -> "Tracker | None":
    """The tracker of ``--tracker``; None without one."""
    if options.tracker == "none":
        return None
    from polylect.base import plain
    from polylect.training import Tracker

    return Tracker(options.tracker, "polylect", options.out.name, call.key, plain(call.config))


def _check_kind(options: Options) -> None:
    """Refuse options that the kind or its objective would ignore."""
    from polylect.base import InputError

    kind, config = options.kind, CONFIGS[options.kind]
    kinds_by_option: dict[str, list[str]] = {}
    for name, kind_config in CONFIGS.items():
        for field in fields(kind_config):
            kinds_by_option.setdefault(field.name, []).append(name)
    for name, kinds in (kinds_by_option | _KINDS).items():
        if getattr(options, name, None) is not None and kind not in kinds:
            raise InputError(
                f"train {kind}: --{name.replace('_', '-')} belongs to {' and '.join(kinds)}",
                "leave it out",
            )
    known = get_args(get_type_hints(config).get("objective"))
    objective = options.objective or getattr(config, "objective", None)
    if objective and objective not in known:
        raise InputError(
            f"train {kind}: no objective {objective}", f"--objective {', '.join(known)}"
        )
    for name, users in _OBJECTIVES.items():
        # Offline CoPG has a preferred answer; samples have none.
        fitting = objective in users and not (kind == "online" and objective == "copg")
        if getattr(options, name) is not None and not fitting:
            raise InputError(
                f"train {kind}: {objective} does not use --{name.replace('_', '-')}",
                f"leave it out; it belongs to {', '.join(user for user in users if user in known)}",
            )
    if objective == "best-of-n" and options.beta is not None:
        raise InputError("train online: best-of-n does not use --beta", "leave it out")
    if options.probes == 0:
        reasons = for_each(
            ("probe_prompts", "probe_tokens"), "--probes 0 asks nothing", "leave one of them out"
        )
        refuse_without_effect(f"train {kind}", options, reasons)


def _config(options: Options, num_parameters: int) -> Any:
    """The configuration of the options, with the default learning rate for the model's size."""
    from polylect.training import default_rate

    rate = options.learning_rate
    if rate is None:
        rate = default_rate(CONFIGS[options.kind]().optim.learning_rate, num_parameters)
    settings = _settings(options, CONFIGS[options.kind])
    if "gate" in settings:
        settings["gate"] = settings["gate"] == "language"
    return CONFIGS[options.kind](
        examples=ExamplesConfig(
            **_settings(options, ExamplesConfig),
            default_language=options.language,
            stages=_stages(options),
        ),
        optim=replace(FINETUNE_OPTIM, **_settings(options, OptimConfig) | {"learning_rate": rate}),
        **settings,
    )


def _settings(options: Options, config: type) -> dict[str, Any]:
    """The options that are fields of a configuration, without those that were not given."""
    values = {field.name: getattr(options, field.name, None) for field in fields(config)}
    return {name: value for name, value in values.items() if value is not None}


def _stages(options: Options) -> tuple[ExampleStage, ...]:
    """The stages of ``--mixture``, or one stage of ``--temperature`` and ``--shares``."""
    from polylect.base import InputError, decode, read_json

    if options.mixture is None:
        shares = _shares(options.shares)
        return (ExampleStage(temperature=options.temperature, shares=shares),)
    if options.shares or options.temperature != 1:
        raise InputError(
            "--mixture beside --shares or --temperature", "write them into the stages of the file"
        )
    rows = read_json(options.mixture)
    form = 'e.g. [{"part": 2, "temperature": 2}, {"part": 1, "shares": {"de": 2, "hi/wiki": 1}}]'
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{options.mixture}: not a list of stages", form)
    stages = []
    for number, row in enumerate(rows, start=1):
        stage = decode(ExampleStage, row, f"{options.mixture}: stage {number}")
        shares = {_share_name(name, str(options.mixture)): x for name, x in stage.shares.items()}
        stages.append(replace(stage, shares=shares))
    return tuple(stages)


def _share_name(name: str, where: str) -> str:
    """The name of a share with its language tag in canonical form."""
    from polylect.base import language

    tag, slash, source = name.partition("/")
    return name if tag == "*" and source else language(tag, where).tag + slash + source


def _shares(text: str) -> Mapping[str, float]:
    """Weights by name, from ``de=2,hi/wiki=1``."""
    from polylect.base import InputError, parse_numbers

    parts = filter(None, (part.strip() for part in text.split(",")))
    shares = {}
    for name, value in parse_numbers("shares", parts, "TAG=WEIGHT").items():
        if value < 0:
            raise InputError(f"--shares {name}={value:g}: below 0", "e.g. --shares de=2,hi/wiki=1")
        shares[_share_name(name, "--shares")] = value
    return shares
