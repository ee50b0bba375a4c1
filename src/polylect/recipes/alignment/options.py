"""What the alignment recipes share: their options, a reward, and a look at every stage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.feedback import AnswersConfig, answers
from polylect.rows import Preference, Prompt, read_preferences, read_prompts
from polylect.runs import Artifact, Call, Files, Run
from polylect.training import (
    FINETUNE_OPTIM,
    ExamplesConfig,
    OptimConfig,
    RewardConfig,
    RewardSource,
    default_rate,
    reward,
)


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """Options of the alignment recipes."""

    model: Path = Path("model")
    """The checkpoint to begin with, fine-tuned on conversations."""
    prompts: Path = Path("prompts.jsonl")
    """Prompts to answer and to learn from: prompt and language."""
    held: Path = Path("held.jsonl")
    """Prompts that are not learned from; every stage answers them."""
    pairs: Path | None = None
    """Preferences; a reward model is trained on them unless there is one."""
    reward: str = ""
    """A folder of polylect train reward, FILE.py:function, or language. Default: trained."""
    learning_rate: float = 0.0
    """Peak of every stage. Default: by the model's size, as polylect train preference has it."""
    beta: float = 0.1
    """Tie to the model that a stage begins with."""
    max_new_tokens: int = 96
    """Longest answer."""
    prompts_per_step: int = 8
    """Prompts, or pairs, of one update."""
    template: str = "own"
    """How turns are written: own, plain, aya, or a file in Jinja."""
    threads: int = 1
    """Of the processor; the bytes of the result depend on it."""
    seed: int = 0
    """Of everything."""


def rate_of(config: AlignConfig, at_8_billion: float = 1e-6) -> float:
    """The peak rate: what was asked for, or the default of the model's size."""
    if config.learning_rate:
        return config.learning_rate
    return default_rate(at_8_billion, Checkpoint.open(config.model).num_parameters)


def optim_of(config: AlignConfig) -> OptimConfig:
    """AdamW with a rate that falls linearly to zero."""
    return replace(FINETUNE_OPTIM, learning_rate=rate_of(config), schedule="linear")


def examples_of(
    config: AlignConfig, epochs: float = 1.0, *, seed: int | None = None
) -> ExamplesConfig:
    """How prompts or pairs are read; what is too long is left out and counted."""
    return ExamplesConfig(epochs=epochs, batch_size=config.prompts_per_step,
                          over_long="drop", template=config.template,
                          seed=config.seed if seed is None else seed, threads=config.threads,
                          probes=0)  # fmt: skip


def reward_of(run: Run, config: AlignConfig) -> RewardSource:
    """The reward: what was named, or a model trained on the preferences.

    Raises:
        InputError: there is neither a reward nor preferences.
    """
    if config.reward:
        return RewardSource(config.reward)
    if config.pairs is None:
        raise InputError("neither --reward nor --pairs", "--pairs FILE trains a reward model")
    optim = replace(FINETUNE_OPTIM, learning_rate=rate_of(config, 1e-5), schedule="linear")
    made = RewardConfig(examples=examples_of(config), optim=optim)
    inputs = {"model": Files(config.model), "data": Files(config.pairs)}
    return RewardSource(str(run.step(reward, "reward", made, inputs).path))


def look(
    run: Run, config: AlignConfig, models: Mapping[str, Artifact | Files], source: RewardSource
) -> dict[str, Artifact]:
    """The answers of every stage to the held-out prompts, by its name."""
    calls = [
        Call(
            answers,
            f"answers-{name}",
            AnswersConfig(
                name=name,
                max_new_tokens=config.max_new_tokens,
                seed=config.seed,
                template=config.template,
                threads=config.threads,
            ),
            {"model": model, "data": Files(config.held), "reward": source},
        )
        for name, model in models.items()
    ]
    return dict(zip(models, run.steps(calls), strict=True))


def finish(run: Run, looks: Mapping[str, Artifact], title: str) -> None:
    """Write the page, and finish the run."""
    from polylect.report import write_stages_page

    run.finish(["index.html"])
    write_stages_page(run.path / "index.html", title, {k: one.path for k, one in looks.items()})


def plan_of(config: AlignConfig, name: str, stages: Mapping[str, tuple[str, float]]) -> str:
    """What a recipe would do, for ``--dry-run``: every file is read, nothing is computed.

    Args:
        config: of the recipe.
        name: of the recipe.
        stages: what each stage learns from (``prompts`` or ``pairs``), and how much of it.

    Raises:
        InputError: a file is not there or a row does not fit.
    """
    model = Checkpoint.open(config.model)
    rows: dict[str, Sequence[Prompt | Preference]]
    rows = {"prompts": read_prompts(config.prompts), "held": read_prompts(config.held)}
    if config.pairs is not None:
        rows["pairs"] = read_preferences(config.pairs)
    elif not config.reward:
        raise InputError("neither --reward nor --pairs", "--pairs FILE trains a reward model")
    if config.reward:
        RewardSource(config.reward).check()
    else:
        stages = {"reward": ("pairs", 1.0), **stages}
    lines = [
        f"{name}: {model.num_parameters:,} parameters, about"
        f" {16 * model.num_parameters / (1 << 20):,.0f} MiB of weights, gradients and optimizer;"
        f" peak rate {rate_of(config):g}"
    ]
    for kind, own in rows.items():
        counts = Counter(one.language for one in own)
        told = ", ".join(f"{tag} {num:,}" for tag, num in sorted(counts.items()))
        lines.append(f"  {kind}: {len(own):,} ({told})")
    for stage, (kind, part) in stages.items():
        num = int(part * len(rows[kind] if kind in rows else rows["prompts"]))
        updates = -(-num // config.prompts_per_step)
        lines.append(f"  {stage}: at most {num:,} {kind}, {updates:,} updates")
    lines.append(f"then every stage answers {len(rows['held']):,} held-out prompts")
    return "\n".join(lines)
