"""Aya Expanse's chain (2412.04261): an expert per language cluster, merged after each stage."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from polylect.base import Count, CountOrZero, Range, Verbatim, language, parse_pairs
from polylect.engine import RewardSource
from polylect.recipes.alignment.experts import (
    ROWS,
    ChosenConfig,
    Training,
    check_anchors,
    check_method,
    chosen_rows,
    count_languages,
    expert_batches,
    soup,
    train_experts,
)
from polylect.recipes.alignment.options import (
    AlignConfig,
    answer_batch,
    check_inputs,
    describe_plan,
    examples_config,
    finish,
    num_updates,
    optim_config,
    required_pairs,
    reward_batches,
    reward_source,
)
from polylect.recipes.pretraining.language_clusters import ANCHORS
from polylect.runs import Call, FileInput, Files, Run, StepInputs
from polylect.training import (
    OnlineConfig,
    PreferenceConfig,
    SftConfig,
    online,
    preference,
    sft,
)


@dataclass(frozen=True, kw_only=True)
class ClustersConfig(AlignConfig):
    """Options of ``polylect run clusters``."""

    conversations: Path = Path("chats.jsonl")
    """Conversations with their language; each cluster is fine-tuned on its own languages."""
    clusters: Annotated[tuple[str, ...], Verbatim()] = ()
    """Language clusters, NAME=TAG,TAG,…; each contains the anchors too."""
    anchors: tuple[str, ...] = ANCHORS
    """Languages that every cluster must contain, so that the experts stay close enough to merge."""
    rounds: CountOrZero = 2
    """Rounds of DPO on own answers after the offline stage; experts are merged after each."""
    num_samples: Annotated[int, Range(2)] = 4
    """Answers per prompt; the best and the worst make a pair."""
    method: str = "linear"
    """Method of the merge; the authors found the weighted average the most consistent."""
    seeds: Count = 1
    """How many trainings of each expert with different seeds, which are averaged."""
    parts: Count = 1
    """Consecutive parts of each training whose checkpoints are averaged."""


def clusters(run: Run, config: ClustersConfig) -> None:
    """An expert per language cluster: fine-tuned, trained on preferences; merged every stage.

    Examples:
        polylect run clusters --model tuned --reward reward-model --dry-run
        polylect run clusters --model tuned --reward reward-model --anchors en
        polylect run clusters --model tuned --reward reward-model --method ties
    """
    languages = clusters_of(config)
    run.announce(*reward_batches(config), *cluster_batches(config, languages))
    source = reward_source(run, config)
    data = {
        "chats": config.conversations,
        "pairs": required_pairs(config),
        "prompts": config.prompts,
    }
    rows = {
        (kind, name): run.step(chosen_rows, f"{kind}-{name}", ChosenConfig(languages=tags),
                               {"data": Files(file)}).path / ROWS
        for kind, file in data.items() for name, tags in languages.items()
    }  # fmt: skip
    model: FileInput = Files(config.model)
    models: dict[str, FileInput] = {"start": model}
    stages: dict[str, str] = {"tuned": "chats", "offline": "pairs"}
    stages |= {f"round-{number}": "prompts" for number in range(1, config.rounds + 1)}
    for stage, kind in stages.items():
        trainings: dict[str, Training] = {
            name: partial(_training, config, source, stage, rows[kind, name]) for name in languages
        }
        experts = train_experts(
            run, stage, model, trainings, num_seeds=config.seeds, num_parts=config.parts,
            seed=config.seed,
        )  # fmt: skip
        models |= {f"{stage}-{name}": expert for name, expert in experts.items()}
        model = soup(run, f"{stage}-merged", experts, model, method=config.method)
        models[f"{stage}-merged"] = model
    finish(run, config, models, source, "Clusters of languages, merged at each round")


def cluster_batches(config: ClustersConfig, names: Iterable[str]) -> list[list[str]]:
    """The steps after the reward, by what runs side by side."""
    names = list(names)
    kinds = ("chats", "pairs", "prompts")
    stages = ["tuned", "offline", *(f"round-{number}" for number in range(1, config.rounds + 1))]
    batches = [[f"{kind}-{name}"] for kind in kinds for name in names]
    models = ["start"]
    for stage in stages:
        batches += expert_batches(stage, names, config.seeds, config.parts)
        batches.append([f"{stage}-merged"])
        models += [f"{stage}-{name}" for name in (*names, "merged")]
    return [*batches, answer_batch(models)]


def clusters_plan(run: Run, config: ClustersConfig) -> str:
    """Clusters, stages, updates and memory; every file is read, nothing is computed."""
    languages = clusters_of(config)
    files = {
        "tuned": config.conversations,
        "offline": required_pairs(config),
        "round": config.prompts,
    }
    num_rows = {stage: count_languages(file) for stage, file in files.items()}
    lines = describe_plan(config, "clusters", {})
    for name, tags in languages.items():
        updates = ", ".join(
            f"{stage} {num_updates(sum(rows.get(tag, 0) for tag in tags), config):,}"
            for stage, rows in num_rows.items()
        )
        lines.append(f"  {name} ({' '.join(tags)}): updates {updates}")
    num_stages = 2 + config.rounds
    num_trainings = config.seeds * config.parts * len(languages) * num_stages
    lines.append(f"  {num_trainings} trainings, merged after each of {num_stages} stages")
    return "\n".join(lines)


def clusters_of(config: ClustersConfig) -> dict[str, tuple[str, ...]]:
    """The tags of every cluster, checked against the anchors and the files.

    Raises:
        InputError: see ``check_anchors``; no preference pairs.
    """
    languages = {
        name: tuple(language(tag, f"--clusters {name}").tag for tag in text.split(","))
        for name, text in parse_pairs("clusters", config.clusters).items()
    }
    check_method(config.method, len(languages))
    check_inputs(config)
    anchors = [language(anchor, "--anchors").tag for anchor in config.anchors]
    for file in (config.conversations, required_pairs(config), config.prompts):
        check_anchors(languages, anchors, count_languages(file))
    return languages


def _training(
    config: ClustersConfig,
    source: RewardSource,
    stage: str,
    rows: Path,
    seed: int,
    model: FileInput,
    label: str,
) -> Call:
    """The training of one expert in one stage."""
    examples, optim = examples_config(config, seed=seed), optim_config(config)
    inputs: StepInputs = {"model": model, "data": Files(rows)}
    if stage == "tuned":
        return Call(sft, label, SftConfig(examples=examples, optim=optim), inputs)
    if stage == "offline":
        offline = PreferenceConfig(
            examples=examples, optim=optim, objective="dpo", beta=config.beta
        )
        return Call(preference, label, offline, inputs)
    sampled = OnlineConfig(
        examples=examples, optim=optim, gate=config.gate, objective="dpo", beta=config.beta,
        num_samples=config.num_samples, max_new_tokens=config.max_new_tokens,
    )  # fmt: skip
    return Call(online, label, sampled, {**inputs, "reward": source})
