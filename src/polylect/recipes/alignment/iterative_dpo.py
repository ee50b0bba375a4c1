"""Aya Expanse's rounds (2412.04261): offline DPO, then DPO on own answers, three times."""

from dataclasses import dataclass
from typing import Any

from polylect.base import InputError
from polylect.merging import LinearConfig, merge_checkpoints
from polylect.recipes.alignment.options import (
    AlignConfig,
    examples_of,
    finish,
    look,
    optim_of,
    plan_of,
    reward_of,
)
from polylect.runs import Files, Run
from polylect.training import OnlineConfig, PreferenceConfig, online, preference


@dataclass(frozen=True, kw_only=True)
class RoundsConfig(AlignConfig):
    """Options of the recipe."""

    rounds: int = 3
    """Rounds of DPO on the model's own answers; beyond three the authors saw little gain."""
    num_samples: int = 4
    """Answers to every prompt, of which the best and the worst are learned from."""
    merge: bool = True
    """Average each round's model with the one that it began with, as the authors merge too."""


def rounds(run: Run, config: RoundsConfig) -> None:
    """Offline DPO on preferences, then rounds of DPO on own answers, merged at each round."""
    if config.pairs is None:
        raise InputError("--pairs is missing", "the first stage learns from preferences")
    source = reward_of(run, config)
    examples, optim = examples_of(config), optim_of(config)
    models: dict[str, Any] = {"start": Files(config.model)}
    offline = PreferenceConfig(examples=examples, optim=optim, objective="dpo", beta=config.beta)
    last = run.step(preference, "offline", offline,
                    {"model": models["start"], "data": Files(config.pairs)})  # fmt: skip
    models["offline"] = last
    for number in range(1, config.rounds + 1):
        made = OnlineConfig(
            examples=examples, optim=optim, objective="dpo", beta=config.beta,
            num_samples=config.num_samples, max_new_tokens=config.max_new_tokens,
        )  # fmt: skip
        # The reference of a round is the model that it begins with.
        inputs = {"model": last, "data": Files(config.prompts), "reward": source}
        fresh = run.step(online, f"round-{number}", made, inputs)
        models[f"round-{number}"] = fresh
        if config.merge:
            fresh = run.step(merge_checkpoints, f"merged-{number}", LinearConfig(),
                             {"before": last, "after": fresh})  # fmt: skip
            models[f"merged-{number}"] = fresh
        last = fresh
    finish(run, look(run, config, models, source), "Rounds of DPO")


def rounds_plan(run: Run, config: RoundsConfig) -> str:
    """Stages, updates and memory; nothing is computed."""
    if config.pairs is None:
        raise InputError("--pairs is missing", "the first stage learns from preferences")
    stages = {"offline": ("pairs", 1.0)}
    stages |= {f"round-{number}": ("prompts", 1.0) for number in range(1, config.rounds + 1)}
    return plan_of(config, "rounds", stages)
