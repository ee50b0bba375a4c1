"""Command A's chain (2504.00698): experts, soup, experts of the soup, soup, polishing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polylect.base import Count, InputError, Range, Verbatim, parse_numbers, parse_pairs
from polylect.recipes.alignment.experts import (
    Training,
    check_method,
    check_weights_of,
    expert_batches,
    soup,
    towards_parent,
    train_experts,
)
from polylect.recipes.alignment.options import (
    answer_batch,
    describe_plan,
    examples_config,
    finish,
    num_updates,
    optim_config,
    reward_batches,
    reward_source,
)
from polylect.recipes.alignment.polishing import (
    PolishConfig,
    check_room,
    planned_stages,
    polishing_batches,
    polishing_stages,
)
from polylect.rows import read_conversations, read_preferences
from polylect.runs import Call, FileInput, Files, Run
from polylect.training import Objective, PreferenceConfig, SftConfig, preference, sft


@dataclass(frozen=True, kw_only=True)
class SoupsConfig(PolishConfig):
    """Options of ``polylect run soups``."""

    tracks: Annotated[tuple[str, ...], Verbatim()] = ()
    """Experts fine-tuned from the model: NAME=FILE of conversations."""
    preferences: Annotated[tuple[str, ...], Verbatim()] = ()
    """Experts trained on preferences from the first soup: NAME=FILE of preference pairs."""
    expert_weights: tuple[str, ...] = ()
    """Weights of the first soup, NAME=NUMBER. Default: equal."""
    preference_weights: tuple[str, ...] = ()
    """Weights of the second soup, NAME=NUMBER. Default: equal."""
    method: str = "linear"
    """Method of both soups; the authors saw no gain from others."""
    objective: Objective = "dpo"
    """Loss of the preference experts; see polylect train preference."""
    seeds: Count = 1
    """How many trainings of each expert with different seeds, which are averaged."""
    parts: Count = 1
    """Consecutive parts of each training whose checkpoints are averaged."""
    delta_scale: Annotated[float, Range(above=0, at_most=1)] = 1.0
    """Scale of a preference expert's difference from its parent before merging; 1 keeps it."""


def soups(run: Run, config: SoupsConfig) -> None:
    """Experts, their soup, preference experts of that soup, their soup, then polishing.

    Examples:
        polylect run soups --model base --tracks math=m.jsonl --reward reward-model --dry-run
        polylect run soups --model base --tracks math=m.jsonl --reward reward-model --out soups
        polylect run soups --model base --tracks math=m.jsonl --reward reward-model --seeds 3
    """
    tracks, preferences = files_of(config)
    run.announce(*reward_batches(config), *soup_batches(config, tracks, preferences))
    source = reward_source(run, config)
    start: FileInput = Files(config.model)
    repeats: dict[str, int] = {
        "num_seeds": config.seeds, "num_parts": config.parts, "seed": config.seed,
    }  # fmt: skip
    tuned = train_experts(
        run, "expert", start, {name: _sft(config, file) for name, file in tracks.items()}, **repeats
    )
    weights = parse_numbers("expert-weights", config.expert_weights)
    first = soup(run, "soup-1", tuned, start, method=config.method, weights=weights)
    preferring = train_experts(
        run, "preferring", first,
        {name: _preference(config, file) for name, file in preferences.items()}, **repeats,
    )  # fmt: skip
    scaled = towards_parent(run, "preferring", preferring, first, config.delta_scale)
    weights = parse_numbers("preference-weights", config.preference_weights)
    second = soup(run, "soup-2", scaled, first, method=config.method, weights=weights)
    models: dict[str, FileInput] = {"start": start}
    models |= {f"expert-{name}": expert for name, expert in tuned.items()} | {"soup-1": first}
    models |= {f"preferring-{name}": expert for name, expert in preferring.items()}
    models |= {"soup-2": second, **polishing_stages(run, config, second, source)}
    finish(run, config, models, source, "Experts and soups")


def soup_batches(
    config: SoupsConfig, tracks: Iterable[str], preferences: Iterable[str]
) -> list[list[str]]:
    """The steps after the reward, by what runs side by side."""
    tracks, preferences = list(tracks), list(preferences)
    eased = [f"preferring-{name}-eased" for name in preferences if config.delta_scale != 1]
    models = [
        "start",
        *(f"expert-{name}" for name in tracks), "soup-1",
        *(f"preferring-{name}" for name in preferences), "soup-2",
        *planned_stages(config),
    ]  # fmt: skip
    return [
        *expert_batches("expert", tracks, config.seeds, config.parts),
        ["soup-1"],
        *expert_batches("preferring", preferences, config.seeds, config.parts),
        eased,
        ["soup-2"],
        *polishing_batches(config),
        answer_batch(models),
    ]


def soups_plan(run: Run, config: SoupsConfig) -> str:
    """Stages, updates and memory; every file is read, nothing is computed."""
    tracks, preferences = files_of(config)
    num_trainings = config.seeds * config.parts
    lines = describe_plan(config, "soups", {})
    for stage, files, read in (
        ("expert", tracks, read_conversations), ("preferring", preferences, read_preferences),
    ):  # fmt: skip
        for name, file in files.items():
            num_rows = len(read(file))
            lines.append(f"  {stage}-{name}: {num_trainings} trainings of {num_rows:,} rows,"
                         f" {num_updates(num_rows, config):,} updates each")  # fmt: skip
        lines.append(f"  then their {config.method} merge")
    polishing = describe_plan(config, "soups", planned_stages(config))
    return "\n".join(
        [*lines, *(line for line in polishing if "updates" in line and line not in lines)]
    )


def files_of(config: SoupsConfig) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of the fine-tuned and of the preference experts, by name, after all checks.

    Raises:
        InputError: fewer than two experts of a kind, a weight for an unknown expert, a number out
            of range.
    """
    tracks = _files("tracks", config.tracks, parse_numbers("expert-weights", config.expert_weights))
    weights = parse_numbers("preference-weights", config.preference_weights)
    preferences = _files("preferences", config.preferences, weights)
    check_method(config.method, max(len(tracks), len(preferences)))
    check_room(config)
    return tracks, preferences


def _files(option: str, named: tuple[str, ...], weights: dict[str, float]) -> dict[str, Path]:
    """The files of one kind of experts; see ``files_of``."""
    files = {name: Path(text) for name, text in parse_pairs(option, named).items()}
    if len(files) < 2:
        raise InputError(f"{len(files)} experts of --{option}", f"--{option} A=a.jsonl B=b.jsonl")
    for name in weights:
        if name not in files:
            raise InputError(
                f"a weight for {name!r}, which is not of --{option}", f"there are {' '.join(files)}"
            )
    check_weights_of(
        files, weights, "expert-weights" if option == "tracks" else "preference-weights"
    )
    return files


def _sft(config: SoupsConfig, file: Path) -> Training:
    def call(seed: int, model: FileInput, label: str) -> Call:
        training = SftConfig(
            examples=examples_config(config, seed=seed), optim=optim_config(config)
        )
        return Call(sft, label, training, {"model": model, "data": Files(file)})

    return call


def _preference(config: SoupsConfig, file: Path) -> Training:
    def call(seed: int, model: FileInput, label: str) -> Call:
        training = PreferenceConfig(
            examples=examples_config(config, seed=seed), optim=optim_config(config),
            objective=config.objective, beta=config.beta,
        )  # fmt: skip
        return Call(preference, label, training, {"model": model, "data": Files(file)})

    return call
