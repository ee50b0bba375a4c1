"""``polylect train``: fine-tune, align with preferences, train rewards, learn from own answers."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from polylect.cli.options import parse
from polylect.cli.results import finish, print_lines, say_already_there
from polylect.cli.train_options import KINDS, OBJECTIVES, ONLINE, PAIRS, Options

_TEMPLATES = ("own", "plain", "aya")
RATE = {"sft": 2e-5, "preference": 1e-6, "online": 1e-6, "reward": 1e-5}
"""Learning rate for a model of 8 billion parameters (the first three are TRL's defaults)."""
_EXAMPLES = (
    "epochs", "batch_size", "micro_batch_tokens", "context_tokens", "over_long", "template",
    "seed", "save_every", "threads", "precision", "recompute",
)  # fmt: skip
_PROBES = ("probes", "probe_prompts", "probe_tokens")
_NOT_CONFIG = ("held_out", "reward", "gate", *_PROBES)
"""Options listed in KINDS that are not fields of the kind's configuration."""


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
    from polylect.report import write_training_page
    from polylect.runs import Call, Files, finished_at, join
    from polylect.training import RewardSource, online, preference, reward, sft

    checkpoint = Checkpoint.open(options.model)
    config = config_of(options, checkpoint.num_parameters)
    steps = {"sft": sft, "preference": preference, "reward": reward, "online": online}
    inputs: dict[str, Any] = {"model": Files(options.model), "data": Files(options.data)}
    if options.template not in _TEMPLATES:
        inputs["template"] = Files(Path(options.template))
    if options.held_out is not None:
        inputs["held_out"] = Files(options.held_out)
        _ = inputs["held_out"].digest  # it must be there before anything is computed
    if options.kind == "online":
        if options.reward is None:
            raise InputError(
                "train online: --reward is missing",
                "a folder of polylect train reward, FILE.py:function, or language",
            )
        inputs["reward"] = RewardSource(options.reward)
        inputs["reward"].check()
    call = Call(steps[options.kind], options.out.name, config, inputs)
    if int(os.environ.get("RANK", "0")) > 0:
        # torchrun: the first process writes, speaks and decides, the others only compute.
        if not options.dry_run:
            from polylect.training import Dismissed

            with suppress(Dismissed):
                join(call, options.out)
        return 0
    if finished_at(call, options.out, force=options.force) is not None:
        if options.dry_run:
            say_already_there(options.out)
            return 0
        artifact = finish(call, options.out, force=False)
    else:
        with gc_paused():
            from polylect.training import forecast
        told = forecast(options.kind, config, options.model, options.data)
        sys.stdout.write("\n".join(told) + "\n")
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
    print_lines([*artifact.ledger.lines(), page])
    return 0


def _tracker(options: Any, call: Any) -> Any:
    """The tracker of ``--tracker``; None without one."""
    if options.tracker == "none":
        return None
    from polylect.base import plain
    from polylect.training import Tracker

    return Tracker(options.tracker, "polylect", options.out.name, call.key, plain(call.config))


def _check_kind(options: Any) -> None:
    """Refuse options that the kind or its objective would ignore."""
    from polylect.base import InputError

    kind = options.kind
    for name, kinds in KINDS.items():
        if getattr(options, name) is not None and kind not in kinds:
            raise InputError(
                f"train {kind}: --{name.replace('_', '-')} belongs to {' and '.join(kinds)}",
                "leave it out",
            )
    known = {"preference": PAIRS, "online": ONLINE}.get(kind, ())
    objective = options.objective or {"preference": "dpo", "online": "copg"}.get(kind, "")
    if objective and objective not in known:
        raise InputError(
            f"train {kind}: no objective {objective}", f"--objective {', '.join(known)}"
        )
    for name, users in OBJECTIVES.items():
        # Offline CoPG has a preferred answer; samples have none.
        fitting = objective in users and not (kind == "online" and objective == "copg")
        if getattr(options, name) is not None and not fitting:
            raise InputError(
                f"train {kind}: {objective} does not use --{name.replace('_', '-')}",
                f"leave it out; it belongs to {', '.join(one for one in users if one in known)}",
            )
    if objective == "best-of-n" and options.beta is not None:
        raise InputError("train online: best-of-n does not use --beta", "leave it out")


def config_of(options: Any, num_parameters: int) -> Any:
    """The configuration of the options, with the default learning rate for the model's size."""
    from polylect.base import InputError
    from polylect.training import (
        FINETUNE_OPTIM,
        ExamplesConfig,
        OnlineConfig,
        PreferenceConfig,
        RewardConfig,
        SftConfig,
        default_rate,
    )

    rate = options.learning_rate
    if rate is None:
        rate = default_rate(RATE[options.kind], num_parameters)
    if not rate > 0:
        raise InputError(f"--learning-rate is {rate}", "give more than 0, e.g. 1e-5")
    probes = {name: getattr(options, name) for name in _PROBES}
    examples = ExamplesConfig(
        **{name: getattr(options, name) for name in _EXAMPLES},
        **{name: value for name, value in probes.items() if value is not None},
        default_language=options.language,
        stages=_stages(options),
    )
    optim = replace(
        FINETUNE_OPTIM, learning_rate=rate, warmup=options.warmup, schedule=options.schedule,
        lora_rank=options.lora_rank, lora_alpha=options.lora_alpha,
    )  # fmt: skip
    kinds: dict[str, Any] = {
        "sft": SftConfig, "preference": PreferenceConfig, "reward": RewardConfig,
        "online": OnlineConfig,
    }  # fmt: skip
    settings = {
        name: getattr(options, name)
        for name, users in KINDS.items()
        if options.kind in users and name not in _NOT_CONFIG and getattr(options, name) is not None
    }
    if options.gate is not None:
        settings["gate"] = options.gate == "language"
    return kinds[options.kind](examples=examples, optim=optim, **settings)


def _stages(options: Any) -> tuple[Any, ...]:
    """The stages of ``--mixture``, or one stage of ``--temperature`` and ``--shares``."""
    from polylect.base import InputError, decode, read_json
    from polylect.training import ExampleStage

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
