"""Aya Expanse's chain (2412.04261): a model for each cluster of languages, merged each round."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from polylect.base import InputError, language, pairs
from polylect.recipes.alignment.experts import (
    ROWS,
    ChosenConfig,
    Training,
    check_anchors,
    chosen_rows,
    count_languages,
    soup,
    train_experts,
)
from polylect.recipes.alignment.options import (
    AlignConfig,
    examples_of,
    finish,
    look,
    optim_of,
    plan_of,
    reward_of,
)
from polylect.recipes.pretraining.lifecycle import ANCHORS
from polylect.runs import Call, Files, Run
from polylect.training import OnlineConfig, PreferenceConfig, SftConfig, online, preference, sft


@dataclass(frozen=True, kw_only=True)
class ClustersConfig(AlignConfig):
    """Options of the recipe."""

    data: Path = Path("chats.jsonl")
    """Conversations with their languages; each cluster is fine-tuned on its own."""
    clusters: tuple[str, ...] = ()
    """Clusters of languages, NAME=TAG,TAG,…; each holds the anchors too."""
    anchors: tuple[str, ...] = ANCHORS
    """Languages that every cluster must hold, so that the models stay close enough to merge."""
    rounds: int = 2
    """Rounds of DPO on own answers after the offline one; clusters are merged at each."""
    num_samples: int = 4
    """Answers to every prompt, of which the best and the worst are learned from."""
    method: str = "linear"
    """How clusters are merged; the authors found the weighted average the most consistent."""
    seeds: int = 1
    """Trainings of every cluster that differ in their seed and are averaged."""
    parts: int = 1
    """Parts of every training whose checkpoints are averaged; each goes on from the last."""


def clusters(run: Run, config: ClustersConfig) -> None:
    """Clusters fine-tuned and merged, then preferring and merged, round by round."""
    own = clusters_of(config)
    source = reward_of(run, config)
    data = {"chats": config.data, "pairs": _pairs(config), "prompts": config.prompts}
    rows = {
        (kind, name): run.step(chosen_rows, f"{kind}-{name}", ChosenConfig(languages=tags),
                               {"data": Files(file)}).path / ROWS
        for kind, file in data.items() for name, tags in own.items()
    }  # fmt: skip
    last: Any = Files(config.model)
    models: dict[str, Any] = {"start": last}
    stages: dict[str, str] = {"tuned": "chats", "offline": "pairs"}
    stages |= {f"round-{number}": "prompts" for number in range(1, config.rounds + 1)}
    for stage, kind in stages.items():
        kinds: dict[str, Training] = {
            name: partial(_call, config, source, stage, rows[kind, name]) for name in own
        }
        experts = train_experts(
            run, stage, last, kinds, num_seeds=config.seeds, num_parts=config.parts,
            seed=config.seed,
        )  # fmt: skip
        models |= {f"{stage}-{name}": one for name, one in experts.items()}
        last = soup(run, f"{stage}-merged", experts, last, method=config.method)
        models[f"{stage}-merged"] = last
    finish(run, look(run, config, models, source), "Clusters of languages, merged at each round")


def clusters_plan(run: Run, config: ClustersConfig) -> str:
    """Clusters, stages, updates and memory; every file is read, nothing is computed."""
    own = clusters_of(config)
    files = {"tuned": config.data, "offline": _pairs(config), "round": config.prompts}
    there = {name: count_languages(file) for name, file in files.items()}
    lines = [plan_of(config, "clusters", {})]
    for name, tags in own.items():
        told = []
        for stage, rows in there.items():
            updates = -(-sum(rows.get(tag, 0) for tag in tags) // config.prompts_per_step)
            told.append(f"{stage} {updates:,}")
        lines.append(f"  {name} ({' '.join(tags)}): updates {', '.join(told)}")
    trained = config.seeds * config.parts * len(own) * (2 + config.rounds)
    lines.append(f"  {trained} trainings, merged after each of {2 + config.rounds} stages")
    return "\n".join(lines)


def clusters_of(config: ClustersConfig) -> dict[str, tuple[str, ...]]:
    """The tags of every cluster, after they were held against the anchors and the files.

    Raises:
        InputError: see ``check_anchors``; no preferences; a number out of range.
    """
    found = {
        name: tuple(language(tag, f"--clusters {name}").tag for tag in text.split(","))
        for name, text in pairs("clusters", config.clusters)
    }
    anchors = [language(one, "--anchors").tag for one in config.anchors]
    for file in (config.data, _pairs(config), config.prompts):
        check_anchors(found, anchors, count_languages(file))
    if config.seeds < 1 or config.parts < 1 or config.rounds < 0:
        raise InputError(
            f"--seeds {config.seeds} --parts {config.parts} --rounds {config.rounds}",
            "give 1 or more; rounds may be 0",
        )
    return found


def _pairs(config: ClustersConfig) -> Path:
    if config.pairs is None:
        raise InputError("--pairs is missing", "the second stage learns from preferences")
    return config.pairs


def _call(
    config: ClustersConfig, source: Any, stage: str, rows: Path, seed: int, model: Any, label: str
) -> Call:
    """The training of one cluster in one stage."""
    examples, optim = examples_of(config, seed=seed), optim_of(config)
    inputs: Mapping[str, Any] = {"model": model, "data": Files(rows)}
    if stage == "tuned":
        return Call(sft, label, SftConfig(examples=examples, optim=optim), inputs)
    if stage == "offline":
        made = PreferenceConfig(examples=examples, optim=optim, objective="dpo", beta=config.beta)
        return Call(preference, label, made, inputs)
    sampled = OnlineConfig(
        examples=examples, optim=optim, objective="dpo", beta=config.beta,
        num_samples=config.num_samples, max_new_tokens=config.max_new_tokens,
    )  # fmt: skip
    return Call(online, label, sampled, {**inputs, "reward": source})
