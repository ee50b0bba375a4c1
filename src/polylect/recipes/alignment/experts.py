"""Experts and their soups: what the recipes of Command A and Aya Expanse share.

An expert may be several trainings of one configuration (seeds), each in several parts one after the
other; the checkpoints of all of them are averaged.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError, check_settings, language, write_text
from polylect.merging import LinearConfig, MergeConfig, merge_checkpoints, merge_models
from polylect.rows import read_dicts
from polylect.runs import Artifact, Call, FileInput, Run, StepContext, StepInputs, step

Training = Callable[[int, FileInput, str], Call]
"""The call that trains an expert, given a seed, the model to start from, and a label."""

ROWS = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class ChosenConfig:
    """Which rows of a file are kept.

    Attributes:
        languages: their tags.
    """

    languages: tuple[str, ...]

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def chosen_rows(config: ChosenConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``rows.jsonl``: the rows in some languages; input ``data`` (JSON lines or Parquet)."""
    kept = []
    for place, row in read_dicts(inputs["data"].path):
        tag = language(str(row.get("language", "")), place).tag
        if tag in config.languages:
            kept.append(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            context.ledger.count("left out: not one of the expert's languages", 1, tag)
    if not kept:
        raise InputError(f"no row in {' '.join(config.languages)}", "give rows in these languages")
    write_text(context.out / ROWS, "".join(kept))


def train_experts(
    run: Run,
    stage: str,
    start: FileInput,
    trainings: Mapping[str, Training],
    *,
    num_seeds: int = 1,
    num_parts: int = 1,
    seed: int = 0,
) -> dict[str, Artifact]:
    """The experts by name, each the average of the checkpoints of its seeds and parts.

    Source: Command A (2504.00698): several seeds of one configuration are averaged; Aya Expanse
    (2412.04261): so are checkpoints of one run.

    Args:
        run: the run.
        stage: name of the stage; labels begin with it.
        start: the model that all experts start from.
        trainings: how each expert is trained, by name.
        num_seeds: trainings of each expert.
        num_parts: parts of each training. A part starts where the one before ended, and trains on
            the same rows in another order.
        seed: the first seed.
    """
    averaged = num_seeds > 1 or num_parts > 1
    members = [(name, number) for name in trainings for number in range(num_seeds)]
    latest: dict[tuple[str, int], FileInput] = dict.fromkeys(members, start)
    checkpoints: dict[str, dict[str, Artifact]] = {name: {} for name in trainings}
    for part in range(num_parts):
        names = [f"{name}-seed{number}-part{part}" if averaged else name
                 for name, number in members]  # fmt: skip
        calls = [
            trainings[member[0]](
                seed + member[1] + part * num_seeds, latest[member], f"{stage}-{name}"
            )
            for member, name in zip(members, names, strict=True)
        ]
        for member, name, trained in zip(members, names, run.steps(calls), strict=True):
            latest[member] = checkpoints[member[0]][name] = trained
    if not averaged:
        return {name: trained for name, parts in checkpoints.items() for trained in parts.values()}
    calls = [Call(merge_checkpoints, f"{stage}-{name}", LinearConfig(), parts)
             for name, parts in checkpoints.items()]  # fmt: skip
    return dict(zip(checkpoints, run.steps(calls), strict=True))


def expert_batches(
    stage: str, names: Iterable[str], num_seeds: int, num_parts: int
) -> list[list[str]]:
    """The steps of ``train_experts``, by what runs side by side."""
    experts = [f"{stage}-{name}" for name in names]
    if num_seeds == num_parts == 1:
        return [experts]
    parts = [
        [f"{expert}-seed{seed}-part{part}" for expert in experts for seed in range(num_seeds)]
        for part in range(num_parts)
    ]
    return [*parts, experts]


def soup(
    run: Run,
    label: str,
    experts: Mapping[str, Artifact],
    parent: FileInput,
    *,
    method: str = "linear",
    weights: Mapping[str, float] | None = None,
) -> Artifact:
    """The merge of some experts.

    Args:
        run: the run.
        label: of the step.
        experts: by name.
        parent: what they were trained from; the base of methods that merge differences.
        method: a merge method; see ``polylect merge --help``.
        weights: by name of every expert; None or none at all for equal ones.

    Raises:
        InputError: a weight for an unknown expert, or for some experts only; an unknown method.
    """
    from polylect.merging import operator_named

    for name in weights or {}:
        if name not in experts:
            raise InputError(f"--weights {name}: no such expert", f"there are {' '.join(experts)}")
    check_weights_of(experts, weights or {}, "weights")
    needs_base = operator_named(method).base == "required"
    models = {"parent": parent, **experts} if needs_base else dict(experts)
    options = {name: {"weight": weights[name]} for name in experts} if weights else {}
    config = MergeConfig(
        method=method, base="parent" if needs_base else None, model_options=options
    )
    return run.step(merge_models, label, config, models)


def check_weights_of(experts: Iterable[str], weights: Mapping[str, float], option: str) -> None:
    """Refuse weights of some experts beside which another has none.

    Raises:
        InputError: names the first expert without a weight.
    """
    for name in experts if weights else ():
        if name not in weights:
            raise InputError(f"--{option}: no weight for {name}", f"give it one: {name}=1")


def check_method(method: str, num_experts: int) -> None:
    """Refuse a merge method that ``soup`` could not use, before an expert is trained.

    Args:
        method: name of the method.
        num_experts: how many are merged.

    Raises:
        InputError: an unknown method, one for fewer models, or one that needs an option.
    """
    from polylect.merging import operator_named

    operator = operator_named(method)
    if operator.max_models is not None and num_experts > operator.max_models:
        raise InputError(
            f"--method {method} merges {operator.max_models} model, here are {num_experts} experts",
            "--method linear",
        )
    needed = [name for name, option in operator.options.items() if option.required]
    if needed:
        raise InputError(f"--method {method} needs {needed[0]}", "--method linear")


def towards_parent(
    run: Run, stage: str, experts: Mapping[str, Artifact], parent: FileInput, scale: float
) -> dict[str, Artifact]:
    """Every expert with its difference from the parent scaled; unchanged where the scale is 1.

    Source: WARP (Rame et al. 2024, equation 6), which Command A uses on an expert and its parent.
    """
    if scale == 1:
        return dict(experts)
    config = MergeConfig(method="interpolate", base="parent", options={"t": scale})
    calls = [
        Call(merge_models, f"{stage}-{name}-eased", config, {"parent": parent, name: expert})
        for name, expert in experts.items()
    ]
    return dict(zip(experts, run.steps(calls), strict=True))


def check_anchors(
    clusters: Mapping[str, Sequence[str]], anchors: Sequence[str], num_rows: Mapping[str, int]
) -> None:
    """Refuse clusters that lack an anchor, or that name a language without rows.

    Experts without common languages drift apart, and their average keeps little of any. Source:
    Aya Expanse, section 2: English, Spanish and French are in every cluster.

    Args:
        clusters: tags by name.
        anchors: the languages that all must contain.
        num_rows: rows by language.

    Raises:
        InputError: fewer than two clusters; a cluster lacks an anchor; a language without rows.
    """
    if len(clusters) < 2:
        raise InputError(f"{len(clusters)} clusters of languages", "--clusters NAME=TAG,TAG,...")
    for name, tags in clusters.items():
        missing = [anchor for anchor in anchors if anchor not in tags]
        if missing:
            raise InputError(
                f"--clusters {name}: the anchor languages {' '.join(missing)} are missing",
                f"add them ({' '.join(anchors)} belong to every cluster), or set --anchors",
            )
        for tag in tags:
            if not num_rows.get(tag):
                raise InputError(f"--clusters {name}: no rows in {tag}",
                                 "leave it out, or give rows in it")  # fmt: skip


def count_languages(path: Path) -> dict[str, int]:
    """Rows of a file by language.

    Raises:
        InputError: the file is not there, or a row names no language.
    """
    tags = (language(str(row.get("language", "")), place).tag for place, row in read_dicts(path))
    return dict(Counter(tags))
