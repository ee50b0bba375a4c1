"""Command A's polishing (2504.00698, section 4): best-of-N, then SRPO and CoPG in turn."""

from dataclasses import dataclass
from typing import Annotated

from polylect.base import Count, CountOrZero, InputError, Ledger, Range
from polylect.engine import RewardSource
from polylect.feedback import RankedConfig, ranked
from polylect.recipes.alignment.options import (
    AlignConfig,
    answer_batch,
    check_inputs,
    describe_plan,
    examples_config,
    finish,
    optim_config,
    reward_batches,
    reward_source,
)
from polylect.rows import Prompt
from polylect.runs import Artifact, FileInput, Files, Run
from polylect.training import (
    OnlineConfig,
    PreferenceConfig,
    encode_prompts,
    online,
    open_policy,
    preference,
)


@dataclass(frozen=True, kw_only=True)
class PolishConfig(AlignConfig):
    """Options of ``polylect run polish``."""

    num_best: Count = 4
    """Answers sampled per prompt in best-of-N fine-tuning; the best is trained on."""
    cycles: CountOrZero = 1
    """Times that offline SRPO and online CoPG alternate."""
    num_online: Annotated[int, Range(2)] = 2
    """Answers sampled per prompt in online CoPG."""
    prompts_per_round: CountOrZero = 32
    """Prompts answered by one state of the model in online CoPG."""
    drop: Annotated[float, Range(0, below=1)] = 0.2
    """Share of each language's prompts, those of lowest mean reward, dropped before SRPO."""


def polish(run: Run, config: PolishConfig) -> None:
    """Polishing: best-of-N fine-tuning, then offline SRPO and online CoPG in turn.

    SRPO's pairs are the best and the worst of the answers that the stage before sampled.

    Examples:
        polylect run polish --model tuned --reward reward-model --dry-run
        polylect run polish --model tuned --reward reward-model --cycles 2 --num-best 8
        polylect run polish --model tuned --reward language --out runs/polish-language
    """
    check_room(config)
    run.announce(
        *reward_batches(config), *polishing_batches(config),
        answer_batch(["start", *planned_stages(config)]),
    )  # fmt: skip
    source = reward_source(run, config)
    start = Files(config.model)
    models = {"start": start, **polishing_stages(run, config, start, source)}
    finish(run, config, models, source, "Polishing")


def check_room(config: PolishConfig) -> None:
    """Check the recipe's files, and that some prompts leave SRPO room for an improved answer.

    Raises:
        InputError: as for ``check_inputs``, or none does.
    """
    prompts = [row for row in check_inputs(config)["prompts"] if isinstance(row, Prompt)]
    policy = open_policy(config.model, examples_config(config), Ledger())
    try:
        encode_prompts(
            prompts, policy.style, policy.context_tokens, config.max_new_tokens, "drop", Ledger(),
            PreferenceConfig.self_refine_prompt,
        )  # fmt: skip
    except InputError as error:
        hint = f"a smaller --max-new-tokens than {config.max_new_tokens}, or shorter prompts"
        raise InputError(f"SRPO: {error.message}", hint) from None


def polishing_stages(
    run: Run, config: PolishConfig, start: FileInput, source: RewardSource
) -> dict[str, Artifact]:
    """The model after every stage of polishing, by name of the stage, in order.

    Args:
        run: the run.
        config: of the recipe.
        start: the model to polish.
        source: the reward.
    """
    examples, optim = examples_config(config), optim_config(config)
    prompts = {"data": Files(config.prompts), "reward": source}
    best_of_n = OnlineConfig(
        examples=examples, optim=optim, gate=config.gate, objective="best-of-n",
        num_samples=config.num_best, beta=None, max_new_tokens=config.max_new_tokens,
        prompts_per_round=0,
    )  # fmt: skip
    srpo = PreferenceConfig(examples=examples, optim=optim, objective="srpo", beta=config.beta)
    copg = OnlineConfig(
        examples=examples, optim=optim, gate=config.gate, objective="copg",
        num_samples=config.num_online, beta=config.beta, max_new_tokens=config.max_new_tokens,
        prompts_per_round=config.prompts_per_round,
    )  # fmt: skip
    sampling = run.step(online, "best-of-n", best_of_n, {"model": start, **prompts})
    models = {"best-of-n": sampling}
    for number in range(1, config.cycles + 1):
        pairs = run.step(ranked, f"pairs-{number}", RankedConfig(drop=config.drop),
                         {"samples": sampling})  # fmt: skip
        inputs = {"model": sampling, "data": Files(pairs.path / "pairs.jsonl")}
        offline = run.step(preference, f"srpo-{number}", srpo, inputs)
        sampling = run.step(online, f"copg-{number}", copg, {"model": offline, **prompts})
        models |= {f"srpo-{number}": offline, f"copg-{number}": sampling}
    return models


def polishing_batches(config: PolishConfig) -> list[list[str]]:
    """The steps of ``polishing_stages``."""
    batches = [["best-of-n"]]
    for number in range(1, config.cycles + 1):
        batches += [[f"pairs-{number}"], [f"srpo-{number}"], [f"copg-{number}"]]
    return batches


def polish_plan(run: Run, config: PolishConfig) -> str:
    """Stages, updates and memory; nothing is computed."""
    check_room(config)
    return "\n".join(describe_plan(config, "polish", planned_stages(config)))


def planned_stages(config: PolishConfig) -> dict[str, tuple[str, float]]:
    """What each stage of polishing trains on, and which share of it."""
    stages: dict[str, tuple[str, float]] = {"best-of-n": ("prompts", 1.0)}
    for number in range(1, config.cycles + 1):
        stages[f"srpo-{number}"] = ("prompts", 1.0 - config.drop)
        stages[f"copg-{number}"] = ("prompts", 1.0)
    return stages
