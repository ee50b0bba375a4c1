"""``polylect merge``: several checkpoints into one."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, say_already_there

if TYPE_CHECKING:
    from polylect.checkpoints import Checkpoint
    from polylect.merging import MergeConfig, Plan


@dataclass(frozen=True, kw_only=True)
class Options:
    """Merge checkpoints of one family, block by block, in memory that does not grow with them.

    Methods: linear, slerp, multislerp, task_arithmetic, ties, dare_linear, dare_ties, della,
    della_linear, breadcrumbs, breadcrumbs_ties, model_stock, sce, interpolate, passthrough. Either
    name --models, or give a recipe in mergekit's YAML.
    """

    recipe: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="RECIPE.yaml")]] = (
        None
    )
    """A recipe in mergekit's form, in place of --method, --models, --weights, --base and --set."""
    method: str = ""
    """How to merge. Default: linear."""
    models: tuple[Path, ...] = ()
    """Folders of the checkpoints, or BASE+ADAPTER for a base with a LoRA adapter. Of slerp and
    interpolate, the first is the base."""
    weights: tuple[float, ...] = ()
    """One for each model, in their order. Default: all the same."""
    base: Path | None = None
    """What the models were trained from, for the methods that take differences."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Options of the method, e.g. density=0.5 t=0.3 normalize=false."""
    out: Path = Path("merged")
    """Folder that appears when all is written."""
    out_dtype: str = ""
    """F32, BF16, F16 or F64 for all float tensors. Default: the inputs' own."""
    vocabulary: str = "same"
    """same: refuse models with other tokenizers. union: bring them onto one vocabulary first."""
    seed: int = 0
    """Of the random methods."""
    parity: Switch = False
    """Round every step as mergekit 0.1.5 does, instead of once."""
    threads: int | None = None
    """Blocks worked on at once. Default: all cores."""
    max_shard_bytes: int = 5_000_000_000
    """Most bytes of tensors in one file."""
    force: Switch = False
    """Replace what --out holds, once the new checkpoint is complete."""
    dry_run: Switch = False
    """Check everything, say what would be merged, and write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect merge``."""
    options = parse(Options, arguments, "merge")
    from polylect.base import InputError
    from polylect.checkpoints import LINEAGE
    from polylect.merging import lineage_of, merge, plan_merge
    from polylect.runs import holds_result

    for name, value in (
        ("--threads", options.threads),
        ("--max-shard-bytes", options.max_shard_bytes),
    ):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}", "it must be at least 1")
    sealed = not options.dry_run and holds_result(options.out, LINEAGE, {}, force=options.force)
    config, models, lines = _asked(options)
    plan = plan_merge(config, models)
    if options.dry_run:
        sys.stdout.write("".join(f"{line}\n" for line in [*_describe(plan), *lines]))
        return 0
    if sealed and holds_result(options.out, LINEAGE, {"lineage": lineage_of(plan)}):
        say_already_there(options.out)
        print_lines([options.out])
        return 0
    result = merge(
        config,
        models,
        options.out,
        num_threads=options.threads or len(os.sched_getaffinity(0)),
        max_shard_bytes=options.max_shard_bytes,
        replace=options.force,
    )
    lines += [f"{event}: {num:,}" for event, num in result.ledger.by_event().items()]
    sys.stdout.write("".join(f"{line}\n" for line in [*_describe(plan), *lines]))
    spent = ", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items())
    sys.stderr.write(f"polylect: {spent}\n")
    sys.stdout.write(f"{options.out}\n")
    return 0


def _asked(options: Options) -> tuple["MergeConfig", dict[str, "Checkpoint"], list[str]]:
    """The configuration, the models by label, and lines for the user."""
    if options.recipe is not None:
        return _from_recipe(options)
    from polylect.base import InputError
    from polylect.merging import MergeConfig, label_models, open_models, operator_named

    method = options.method or "linear"
    operator = operator_named(method)
    if not options.models:
        raise InputError("merge: no models", "polylect merge --models A B --out DIR")
    paths = list(options.models)
    base = options.base
    if base is None and operator.base == "required" and operator.max_models == 1:
        base = paths[0]
    resolved = [path.resolve() for path in paths]
    if base is not None and base.resolve() not in resolved:
        paths.insert(0, base)
    if options.weights and len(options.weights) != len(options.models):
        raise InputError(
            f"{len(options.weights)} weights for {len(options.models)} models", "give one for each"
        )
    named = label_models(open_models(paths, _inputs(options, "adapters")))
    labels = dict(zip((path.resolve() for path in paths), named, strict=True)) if base else {}
    label = labels[base.resolve()] if base is not None else None
    weights = dict(zip(options.models, options.weights, strict=False))
    if options.weights and "weight" not in operator.options:
        raise InputError(f"{method} takes no weights", f"it takes {', '.join(operator.options)}")
    given = [weights.get(path) for path in paths]
    per_model = {
        name: {"weight": weight}
        for name, weight in zip(named, given, strict=True)
        if weight is not None and name != label
    }
    config = MergeConfig(
        method=method,
        options=_settings(options.set),
        model_options=per_model,
        base=label,
        out_dtype=options.out_dtype or None,
        seed=options.seed,
        parity=options.parity,
    )
    models, lines = _on_one_vocabulary(options, options.vocabulary, named, label)
    return config, models, lines


def _inputs(options: Options, what: str) -> Path | None:
    """Where inputs lie that have to be made ready; None where nothing is to be written."""
    from polylect.merging import inputs_folder

    return None if options.dry_run else inputs_folder(options.out) / what


def _on_one_vocabulary(
    options: Options, vocabulary: str, models: dict[str, "Checkpoint"], base: str | None
) -> tuple[dict[str, "Checkpoint"], list[str]]:
    """The models, on the union of their vocabularies if that was asked for, and what was done."""
    from polylect.base import InputError, did_you_mean
    from polylect.merging import VOCABULARIES, unify_vocabularies

    if vocabulary not in VOCABULARIES:
        hint = did_you_mean(vocabulary, VOCABULARIES) or f"choose {' or '.join(VOCABULARIES)}"
        raise InputError(f"--vocabulary {vocabulary}", hint)
    if vocabulary == "same":
        return models, []
    first = base if base is not None else next(iter(models))
    folder = _inputs(options, "vocabulary")
    found, ledger = unify_vocabularies(models, first, folder)
    lines = [f"{event} ({where}): {num:,}" for event, where, num in ledger.rows()]
    if lines and folder is not None:
        lines.append(f"every token that was made: {folder / 'vocabulary.json'}")
    return found, lines


def _from_recipe(options: Options) -> tuple["MergeConfig", dict[str, "Checkpoint"], list[str]]:
    from dataclasses import replace

    from polylect.base import InputError
    from polylect.merging import open_models, read_recipe

    for name in ("method", "models", "weights", "base", "set"):
        if getattr(options, name):
            raise InputError(f"--{name} and a recipe", "change the recipe instead")
    assert options.recipe is not None, "asked for only with a recipe"
    recipe = read_recipe(options.recipe, seed=options.seed, parity=options.parity)
    opened = open_models(list(recipe.models.values()), _inputs(options, "adapters"))
    models = dict(zip(recipe.models, opened, strict=True))
    for label, model in models.items():
        there = model.config.get("num_hidden_layers")
        if recipe.num_layers and there != recipe.num_layers:
            raise InputError(
                f"{options.recipe}: layer_range takes {recipe.num_layers} layers, {label} has "
                f"{there}",
                "merge whole models",
            )
    config = recipe.config
    vocabulary = options.vocabulary if options.vocabulary != "same" else recipe.vocabulary or "same"
    models, lines = _on_one_vocabulary(options, vocabulary, models, config.base)
    if options.out_dtype:
        config = replace(config, out_dtype=options.out_dtype)
    lines += [f"{event}: {num}" for event, num in recipe.ledger.by_event().items()]
    return config, models, lines


def _settings(given: Sequence[str]) -> dict[str, Any]:
    """Options of the method from ``name=value``: numbers, true, false, or words."""
    from polylect.base import InputError

    found: dict[str, Any] = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign or not name or not text:
            raise InputError(f"--set {one}: not NAME=VALUE", "e.g. --set density=0.5")
        if name in found:
            raise InputError(f"--set {name} is given twice", "give it once")
        if text.lower() in {"true", "false"}:
            found[name] = text.lower() == "true"
            continue
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = text
    return found


def _describe(plan: "Plan") -> list[str]:
    num = sum(math.prod(spec.shape) for spec in plan.specs)
    lines = [f"{plan.config.method}: {num:,} parameters in {len(plan.specs)} tensors"]
    weight = "weight" in plan.operator.options
    example = plan.specs[0].name
    weights = plan.options(example).get("weight") if weight else None
    for label, model in plan.models.items():
        if label == plan.config.base:
            lines.append(f"  {label} (base)  {model.path}")
        elif weights is not None:
            lines.append(f"  {label}  {weights[plan.merged.index(label)]:g}  {model.path}")
        else:
            lines.append(f"  {label}  {model.path}")
    lines += [f"{event} ({where})" for event, where, _ in plan.ledger.rows()]
    return lines
