"""Command A's chain (2504.00698): experts, soup, experts of the soup, soup, polishing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, numbers, pairs
from polylect.recipes.alignment.experts import Training, soup, towards_parent, train_experts
from polylect.recipes.alignment.options import (
    examples_of,
    finish,
    look,
    optim_of,
    plan_of,
    reward_of,
)
from polylect.recipes.alignment.polishing import PolishConfig, polish_stages, polished
from polylect.rows import read_conversations, read_preferences
from polylect.runs import Call, Files, Run
from polylect.training import PreferenceConfig, SftConfig, preference, sft


@dataclass(frozen=True, kw_only=True)
class SoupsConfig(PolishConfig):
    """Options of the recipe."""

    tracks: tuple[str, ...] = ()
    """Experts fine-tuned from the model: NAME=FILE of conversations."""
    preferences: tuple[str, ...] = ()
    """Experts trained on preferences from the first soup: NAME=FILE of preferences."""
    weights: tuple[str, ...] = ()
    """Of the first soup: NAME=NUMBER. Default: all the same."""
    preference_weights: tuple[str, ...] = ()
    """Of the second soup: NAME=NUMBER. Default: all the same."""
    method: str = "linear"
    """How both soups are merged; the authors saw no gain from others."""
    objective: str = "dpo"
    """Of the preference experts: dpo, ipo, srpo, copg and others of polylect train preference."""
    seeds: int = 1
    """Trainings of every expert that differ in their seed and are averaged."""
    parts: int = 1
    """Parts of every training whose checkpoints are averaged; each goes on from the last."""
    ease: float = 1.0
    """How far a preference expert goes from its parent before it is merged; 1 is all the way."""


def soups(run: Run, config: SoupsConfig) -> None:
    """Experts, soup, preference experts, soup, polishing; every stage looked at."""
    tracks, preferences = files_of(config)
    source = reward_of(run, config)
    start: Any = Files(config.model)
    first = train_experts(
        run, "expert", start, {name: _tuned(config, file) for name, file in tracks.items()},
        num_seeds=config.seeds, num_parts=config.parts, seed=config.seed,
    )  # fmt: skip
    kind = {"method": config.method}
    soup_1 = soup(run, "soup-1", first, start, weights=numbers("weights", config.weights), **kind)
    second = train_experts(
        run, "preferring", soup_1,
        {name: _preferring(config, file) for name, file in preferences.items()},
        num_seeds=config.seeds, num_parts=config.parts, seed=config.seed,
    )  # fmt: skip
    eased = towards_parent(run, "preferring", second, soup_1, config.ease)
    weights = numbers("preference-weights", config.preference_weights)
    soup_2 = soup(run, "soup-2", eased, soup_1, weights=weights, **kind)
    models: dict[str, Any] = {"start": start}
    models |= {f"expert-{name}": one for name, one in first.items()} | {"soup-1": soup_1}
    models |= {f"preferring-{name}": one for name, one in second.items()} | {"soup-2": soup_2}
    models |= polished(run, config, soup_2, source)
    finish(run, look(run, config, models, source), "Experts and soups")


def soups_plan(run: Run, config: SoupsConfig) -> str:
    """Stages, updates and memory; every file is read, nothing is computed."""
    tracks, preferences = files_of(config)
    num = config.seeds * config.parts
    lines = [plan_of(config, "soups", {})]
    for stage, own in (("expert", tracks), ("preferring", preferences)):
        for name, file in own.items():
            rows = len(read_conversations(file) if stage == "expert" else read_preferences(file))
            updates = -(-rows // config.prompts_per_step)
            lines.append(
                f"  {stage}-{name}: {num} trainings of {rows:,} rows, {updates:,} updates each"
            )
        lines.append(f"  then their {config.method} merge")
    polishing = plan_of(config, "soups", polish_stages(config)).splitlines()
    lines += [one for one in polishing if "updates" in one and one not in lines[0]]
    return "\n".join(lines)


def files_of(config: SoupsConfig) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of both kinds of experts by name, after the names and numbers were checked.

    Raises:
        InputError: fewer than two of a kind, a weight for an unknown expert, a number out of range.
    """
    found = []
    for option, given, weights in (
        ("tracks", config.tracks, numbers("weights", config.weights)),
        (
            "preferences",
            config.preferences,
            numbers("preference-weights", config.preference_weights),
        ),
    ):
        files = {name: Path(text) for name, text in pairs(option, given)}
        if len(files) < 2:
            raise InputError(
                f"{len(files)} experts of --{option}", f"--{option} A=a.jsonl B=b.jsonl"
            )
        _check_names(weights, files, option)
        found.append(files)
    if config.seeds < 1 or config.parts < 1:
        raise InputError(f"--seeds {config.seeds} --parts {config.parts}", "give 1 or more")
    if not 0 < config.ease <= 1:
        raise InputError(f"--ease {config.ease:g}", "give above 0, up to 1")
    return found[0], found[1]


def _check_names(weights: Mapping[str, float], files: Mapping[str, Path], option: str) -> None:
    for name in weights:
        if name not in files:
            raise InputError(
                f"a weight for {name!r}, which is not of --{option}", f"there are {' '.join(files)}"
            )


def _tuned(config: SoupsConfig, file: Path) -> Training:
    def call(seed: int, model: Any, label: str) -> Call:
        made = SftConfig(examples=examples_of(config, seed=seed), optim=optim_of(config))
        return Call(sft, label, made, {"model": model, "data": Files(file)})

    return call


def _preferring(config: SoupsConfig, file: Path) -> Training:
    def call(seed: int, model: Any, label: str) -> Call:
        made = PreferenceConfig(
            examples=examples_of(config, seed=seed), optim=optim_of(config),
            objective=config.objective, beta=config.beta,  # type: ignore[arg-type]
        )  # fmt: skip
        return Call(preference, label, made, {"model": model, "data": Files(file)})

    return call
