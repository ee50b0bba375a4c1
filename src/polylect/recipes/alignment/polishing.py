"""Command A's polishing (2504.00698, section 4): best-of-N, then SRPO and CoPG in turn."""

from dataclasses import dataclass
from typing import Any

from polylect.feedback import RankedConfig, ranked
from polylect.recipes.alignment.options import (
    AlignConfig,
    examples_of,
    finish,
    look,
    optim_of,
    plan_of,
    reward_of,
)
from polylect.runs import Artifact, Files, Run
from polylect.training import OnlineConfig, PreferenceConfig, RewardSource, online, preference


@dataclass(frozen=True, kw_only=True)
class PolishConfig(AlignConfig):
    """Options of the recipe."""

    num_best: int = 4
    """Answers to every prompt of which the best is learned from."""
    cycles: int = 1
    """How often offline SRPO and online CoPG follow each other."""
    num_online: int = 2
    """Answers to every prompt in online CoPG."""
    prompts_per_round: int = 32
    """Prompts that one state of the model answers in online CoPG."""
    drop: float = 0.2
    """Share of each language's prompts, those of lowest mean reward, that SRPO leaves out."""


def polish(run: Run, config: PolishConfig) -> None:
    """Best-of-N fine-tuning, then offline SRPO and online CoPG in turn, every stage looked at.

    The pairs of SRPO are the best and the worst of the answers that the stage before sampled.
    """
    source = reward_of(run, config)
    models: dict[str, Any] = {"start": Files(config.model)}
    models |= polished(run, config, models["start"], source)
    finish(run, look(run, config, models, source), "Polishing")


def polished(
    run: Run, config: PolishConfig, start: Any, source: RewardSource
) -> dict[str, Artifact]:
    """The models of every stage of polishing, by name, in order."""
    data, models = Files(config.prompts), {}
    examples, optim = examples_of(config), optim_of(config)

    def sampled(objective: Any, num: int, per_round: int = 0) -> OnlineConfig:
        return OnlineConfig(
            examples=examples, optim=optim, objective=objective, num_samples=num,
            beta=None if objective == "best-of-n" else config.beta,
            max_new_tokens=config.max_new_tokens, prompts_per_round=per_round,
        )  # fmt: skip

    last = run.step(online, "best-of-n", sampled("best-of-n", config.num_best),
                    {"model": start, "data": data, "reward": source})  # fmt: skip
    models["best-of-n"] = samples = last
    for number in range(1, config.cycles + 1):
        pairs = run.step(ranked, f"pairs-{number}", RankedConfig(drop=config.drop),
                         {"samples": samples})  # fmt: skip
        offline = PreferenceConfig(
            examples=examples, optim=optim, objective="srpo", beta=config.beta
        )
        last = run.step(preference, f"srpo-{number}", offline,
                        {"model": last, "data": Files(pairs.path / "pairs.jsonl")})  # fmt: skip
        models[f"srpo-{number}"] = last
        last = run.step(
            online, f"copg-{number}", sampled("copg", config.num_online, config.prompts_per_round),
            {"model": last, "data": data, "reward": source},
        )  # fmt: skip
        models[f"copg-{number}"] = samples = last
    return models


def polish_plan(run: Run, config: PolishConfig) -> str:
    """Stages, updates and memory; nothing is computed."""
    return plan_of(config, "polish", polish_stages(config))


def polish_stages(config: PolishConfig) -> dict[str, tuple[str, float]]:
    """What each stage learns from, and how much of it."""
    stages: dict[str, tuple[str, float]] = {"best-of-n": ("prompts", 1.0)}
    for number in range(1, config.cycles + 1):
        stages[f"srpo-{number}"] = ("prompts", 1.0 - config.drop)
        stages[f"copg-{number}"] = ("prompts", 1.0)
    return stages
