"""Experts and their soups: what the recipes of Command A and Aya Expanse share.

An expert may be several trainings of one configuration (seeds), each in several parts one after the
other; the checkpoints of all of them are averaged.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, language, write_text
from polylect.merging import LinearConfig, MergeConfig, merge_checkpoints, merge_models
from polylect.rows import read_dicts
from polylect.runs import Artifact, Call, Run, StepContext, step

Training = Callable[[int, Any, str], Call]
"""The call that trains an expert, of a seed, the model to begin with, and a label."""

ROWS = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class ChosenConfig:
    """Which rows of a file are kept.

    Attributes:
        languages: their tags.
    """

    languages: tuple[str, ...]


@step(version=1)
def chosen_rows(config: ChosenConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
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
    name: str,
    start: Any,
    kinds: Mapping[str, Training],
    *,
    num_seeds: int = 1,
    num_parts: int = 1,
    seed: int = 0,
) -> dict[str, Artifact]:
    """The experts by kind, each the average of its seeds' and parts' checkpoints.

    Source: Command A (2504.00698): several seeds of one configuration are averaged; Aya Expanse
    (2412.04261): so are checkpoints of one run.

    Args:
        run: the run.
        name: of the stage; labels begin with it.
        start: the model that all begin with.
        kinds: how each is trained.
        num_seeds: trainings of each.
        num_parts: parts of each training; a part begins where the one before ended, and learns from
            the same rows in another order.
        seed: the first seed.
    """
    many = num_seeds > 1 or num_parts > 1
    lanes = [(kind, number) for kind in kinds for number in range(num_seeds)]
    last: dict[tuple[str, int], Any] = dict.fromkeys(lanes, start)
    made: dict[str, dict[str, Artifact]] = {kind: {} for kind in kinds}
    for part in range(num_parts):
        labels = [f"{name}-{kind}" + (f"-seed{n}-part{part}" if many else "") for kind, n in lanes]
        calls = [
            kinds[kind](seed + n + part * num_seeds, last[kind, n], label)
            for (kind, n), label in zip(lanes, labels, strict=True)
        ]
        for lane, label, one in zip(lanes, labels, run.steps(calls), strict=True):
            last[lane] = one
            made[lane[0]][label.removeprefix(f"{name}-")] = one
    if not many:
        return {kind: next(iter(own.values())) for kind, own in made.items()}
    calls = [Call(merge_checkpoints, f"{name}-{kind}", LinearConfig(), own)
             for kind, own in made.items()]  # fmt: skip
    return dict(zip(made, run.steps(calls), strict=True))


def soup(
    run: Run,
    label: str,
    experts: Mapping[str, Artifact],
    parent: Any,
    *,
    method: str = "linear",
    weights: Mapping[str, float] | None = None,
) -> Artifact:
    """The merge of some experts.

    Args:
        run: the run.
        label: of the step.
        experts: by kind.
        parent: what they were trained from; the base of methods that take differences.
        method: a merge method; see ``polylect merge --help``.
        weights: by kind; all the same where there are none.

    Raises:
        InputError: a weight for an unknown kind, or an unknown method.
    """
    for kind in weights or {}:
        if kind not in experts:
            raise InputError(f"--weights {kind}: no such expert", f"there are {' '.join(experts)}")
    from polylect.merging import operator_named

    models: dict[str, Any] = dict(experts)
    needs_base = operator_named(method).base == "required"
    if needs_base:
        models = {"parent": parent, **models}
    own = {kind: {"weight": (weights or {}).get(kind, 1.0)} for kind in experts}
    config = MergeConfig(
        method=method, base="parent" if needs_base else None, model_options=own if weights else {}
    )
    return run.step(merge_models, label, config, models)


def towards_parent(
    run: Run, name: str, experts: Mapping[str, Artifact], parent: Any, share: float
) -> dict[str, Artifact]:
    """Every expert at ``share`` of the way from its parent; themselves where it is 1.

    Source: WARP (Rame et al. 2024, equation 6), which Command A uses on an expert and its parent.
    """
    if share == 1:
        return dict(experts)
    config = MergeConfig(method="interpolate", base="parent", options={"t": share})
    calls = [Call(merge_models, f"{name}-{kind}-eased", config, {"parent": parent, kind: one})
             for kind, one in experts.items()]  # fmt: skip
    return dict(zip(experts, run.steps(calls), strict=True))


def check_anchors(
    clusters: Mapping[str, Sequence[str]], anchors: Sequence[str], there: Mapping[str, int]
) -> None:
    """Nothing, when every cluster of languages holds the anchors, and there are rows in them.

    Experts without common languages drift apart, and their average keeps little of any. Source:
    Aya Expanse, section 2: English, Spanish and French are in every cluster.

    Args:
        clusters: tags by name.
        anchors: the languages that all must hold.
        there: rows by language.

    Raises:
        InputError: fewer than two clusters; a cluster lacks an anchor; a language without rows.
    """
    if len(clusters) < 2:
        raise InputError(f"{len(clusters)} clusters of languages", "--clusters NAME=TAG,TAG,...")
    for name, tags in clusters.items():
        missing = [one for one in anchors if one not in tags]
        if missing:
            raise InputError(
                f"--clusters {name}: the anchor languages {' '.join(missing)} are missing",
                f"every cluster holds {' '.join(anchors)}; or choose others: --anchors",
            )
        for tag in tags:
            if not there.get(tag):
                raise InputError(
                    f"--clusters {name}: no rows in {tag}",
                    "leave it out, or give rows in it",
                )


def count_languages(path: Path) -> dict[str, int]:
    """Rows of a file by language.

    Raises:
        InputError: the file is not there, or a row names no language.
    """
    tags = (language(str(row.get("language", "")), place).tag for place, row in read_dicts(path))
    return dict(Counter(tags))
