"""Aya Expanse's iterative DPO (2412.04261): offline, then on the model's own answers."""

from dataclasses import dataclass
from typing import Annotated

from polylect.base import CountOrZero, Range
from polylect.merging import LinearConfig, merge_checkpoints
from polylect.recipes.alignment.options import (
    AlignConfig,
    answer_batch,
    check_inputs,
    describe_plan,
    examples_config,
    finish,
    optim_config,
    required_pairs,
    reward_batches,
    reward_source,
)
from polylect.runs import FileInput, Files, Run
from polylect.training import OnlineConfig, PreferenceConfig, online, preference


@dataclass(frozen=True, kw_only=True)
class RoundsConfig(AlignConfig):
    """Options of ``polylect run rounds``."""

    rounds: CountOrZero = 3
    """Rounds of DPO on the model's own answers; the authors saw little gain beyond three."""
    num_samples: Annotated[int, Range(2)] = 4
    """Answers per prompt; the best and the worst make a pair."""
    merge: bool = True
    """Average each round's model with the one it started from, as the authors do."""


def rounds(run: Run, config: RoundsConfig) -> None:
    """Iterative DPO: offline on preference pairs, then rounds on own answers, merged after each.

    Examples:
        polylect run rounds --model tuned --reward reward-model --dry-run
        polylect run rounds --model tuned --reward reward-model --rounds 3
        polylect run rounds --model tuned --reward reward-model --no-merge --out unmerged
    """
    pairs = required_pairs(config)
    check_inputs(config)
    stages = ["offline"]
    for number in range(1, config.rounds + 1):
        stages += [f"round-{number}", *([f"merged-{number}"] if config.merge else [])]
    run.announce(
        *reward_batches(config), *([stage] for stage in stages), answer_batch(["start", *stages])
    )
    source = reward_source(run, config)
    examples, optim = examples_config(config), optim_config(config)
    models: dict[str, FileInput] = {"start": Files(config.model)}
    offline = PreferenceConfig(examples=examples, optim=optim, objective="dpo", beta=config.beta)
    model = run.step(preference, "offline", offline,
                     {"model": models["start"], "data": Files(pairs)})  # fmt: skip
    models["offline"] = model
    training = OnlineConfig(
        examples=examples, optim=optim, gate=config.gate, objective="dpo", beta=config.beta,
        num_samples=config.num_samples, max_new_tokens=config.max_new_tokens,
    )  # fmt: skip
    for number in range(1, config.rounds + 1):
        # The reference model of a round is the one it starts from.
        inputs = {"model": model, "data": Files(config.prompts), "reward": source}
        trained = run.step(online, f"round-{number}", training, inputs)
        models[f"round-{number}"] = trained
        if config.merge:
            trained = run.step(merge_checkpoints, f"merged-{number}", LinearConfig(),
                               {"before": model, "after": trained})  # fmt: skip
            models[f"merged-{number}"] = trained
        model = trained
    finish(run, config, models, source, "Rounds of DPO")


def rounds_plan(run: Run, config: RoundsConfig) -> str:
    """Stages, updates and memory; nothing is computed."""
    required_pairs(config)
    stages = {"offline": ("pairs", 1.0)}
    stages |= {f"round-{number}": ("prompts", 1.0) for number in range(1, config.rounds + 1)}
    return "\n".join(describe_plan(config, "rounds", stages))
