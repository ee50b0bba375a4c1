"""``polylect merge``: merge several checkpoints into one."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from polylect.base import Count, Finite, Seed, Threads
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import print_lines, print_seconds, say_already_there

if TYPE_CHECKING:
    from polylect.checkpoints import Checkpoint
    from polylect.merging import MergeConfig, Plan


@dataclass(frozen=True, kw_only=True)
class Options:
    """Merge checkpoints of one family block by block, in constant memory.

    Methods: linear, slerp, multislerp, task_arithmetic, ties, dare_linear, dare_ties, della,
    della_linear, breadcrumbs, breadcrumbs_ties, model_stock, sce, interpolate, passthrough. Give
    either --models or a recipe in mergekit's YAML.
    """

    recipe: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="RECIPE.yaml")]] = (
        None
    )
    """A mergekit recipe, in place of --method, --models, --weights, --base and --set."""
    method: str = ""
    """Merge method. Default: linear."""
    models: tuple[Path, ...] = ()
    """Folders of the checkpoints, or BASE+ADAPTER for a base with a LoRA adapter. For slerp and
    interpolate, the first is the base."""
    weights: tuple[Finite, ...] = ()
    """One weight per model, in order. Default: equal weights."""
    base: Path | None = None
    """The common base model, for methods on task vectors."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Options of the method: density=0.5 t=0.3 normalize=false."""
    out: Path = Path("merged")
    """Folder for the merged checkpoint; it appears when complete."""
    out_dtype: str = ""
    """Type of all float tensors: F32, BF16, F16, F64 (or torch's name). Default: the inputs'."""
    tokenizer_from: str = ""
    """Label of the model whose tokenizer, chat template and other files beside the weights are
    taken. Default: the base or first model; the first with a chat template if that has none."""
    vocabulary: str = "same"
    """same: refuse models with different tokenizers. union: extend all to the union first."""
    seed: Seed = 0
    """Seed of methods that drop parameters at random."""
    parity: Switch = False
    """Round every step as mergekit 0.1.5 does, instead of once."""
    threads: Threads | None = None
    """Blocks merged in parallel. Default: all cores."""
    max_shard_bytes: Count = 5_000_000_000
    """Maximum bytes of tensors per file."""
    force: Switch = False
    """Replace what --out holds, once the new checkpoint is complete."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect merge``."""
    options = parse(Options, arguments, "merge")
    from polylect.checkpoints import LINEAGE
    from polylect.merging import lineage_of, merge, plan_merge
    from polylect.runs import holds_result

    sealed = holds_result(options.out, LINEAGE, {}, force=options.force)
    if _prepares_inputs(options) and not options.dry_run:
        # What cannot be merged is refused before an adapter or a vocabulary is written.
        plan_merge(*_plan_inputs(replace(options, dry_run=True))[:2])
    config, models, lines = _plan_inputs(options)
    plan = plan_merge(config, models)
    if sealed and holds_result(options.out, LINEAGE, {"lineage": lineage_of(plan)}):
        say_already_there(options.out)
        print_lines([options.out])
        return 0
    if options.dry_run:
        print_lines([*_describe(plan), *lines])
        return 0
    result = merge(
        config,
        models,
        options.out,
        num_threads=options.threads or len(os.sched_getaffinity(0)),
        max_shard_bytes=options.max_shard_bytes,
        replace=options.force,
    )
    planned = set(plan.ledger.lines())
    new = [line for line in result.ledger.lines() if line not in planned]
    print_lines([*_describe(plan), *lines, *new, options.out])
    print_seconds(result.seconds)
    return 0


def _prepares_inputs(options: Options) -> bool:
    """Whether models may have to be written anew before they are merged."""
    return (
        options.recipe is not None
        or options.vocabulary != "same"
        or any("+" in str(path) for path in (*options.models, options.base))
    )


def _plan_inputs(options: Options) -> tuple["MergeConfig", dict[str, "Checkpoint"], list[str]]:
    """The configuration, the models by label, and lines to print."""
    if options.recipe is not None:
        return _from_recipe(options)
    from polylect.base import InputError, Ledger
    from polylect.merging import MergeConfig, label_models, open_models, operator_named

    method = options.method or "linear"
    operator = operator_named(method)
    if not options.models:
        raise InputError("merge: no models", "polylect merge --models A B --out DIR")
    if options.weights and len(options.weights) != len(options.models):
        raise InputError(
            f"{len(options.weights)} weights for {len(options.models)} models", "give one for each"
        )
    if options.weights and "weight" not in operator.options:
        takes = ", ".join(operator.options)
        raise InputError(
            f"{method} takes no weights", f"it takes {takes}" if takes else "leave out --weights"
        )
    paths, base = _with_base(
        options, first=operator.base == "required" and operator.max_models == 1
    )
    weights = [*[None] * (len(paths) - len(options.models)), *options.weights]
    ledger = Ledger()
    named = label_models(open_models(paths, _inputs(options, "adapters"), ledger))
    label = None if base is None else list(named)[base]
    per_model = {
        name: {"weight": weight}
        for name, weight in zip(named, weights, strict=False)
        if weight is not None
    }
    config = MergeConfig(
        method=method,
        options=_settings(options.set),
        model_options=per_model,
        base=label,
        out_dtype=options.out_dtype or None,
        seed=options.seed,
        parity=options.parity,
        tokenizer_from=options.tokenizer_from or None,
    )
    models, lines = _on_one_vocabulary(options, options.vocabulary, named, label)
    return config, models, [*lines, *ledger.lines()]


def _with_base(options: Options, *, first: bool) -> tuple[list[Path], int | None]:
    """The folders with that of the base among them, and the position of the base.

    Args:
        options: of the command.
        first: whether the first model is the base where none is named.

    Raises:
        InputError: the base is among the models twice.
    """
    from polylect.base import InputError

    paths = list(options.models)
    if options.base is None:
        return paths, 0 if first else None
    place = options.base.resolve()
    listed = [number for number, path in enumerate(paths) if path.resolve() == place]
    if len(listed) > 1:
        raise InputError(f"{options.base}: the base, and among --models twice", "list it once")
    return (paths, listed[0]) if listed else ([options.base, *paths], 0)


def _inputs(options: Options, what: str) -> Path | None:
    """Folder for prepared inputs; None for a dry run, which writes nothing."""
    from polylect.merging import inputs_folder

    return None if options.dry_run else inputs_folder(options.out) / what


def _on_one_vocabulary(
    options: Options, vocabulary: str, models: dict[str, "Checkpoint"], base: str | None
) -> tuple[dict[str, "Checkpoint"], list[str]]:
    """The models, extended to the union of their vocabularies if asked for, and lines to print."""
    from polylect.base import InputError, did_you_mean
    from polylect.merging import VOCABULARIES, unify_vocabularies

    if vocabulary not in VOCABULARIES:
        hint = did_you_mean(vocabulary, VOCABULARIES) or f"choose {' or '.join(VOCABULARIES)}"
        raise InputError(f"--vocabulary {vocabulary}", hint)
    if vocabulary == "same":
        return models, []
    first = base if base is not None else next(iter(models))
    folder = _inputs(options, "vocabulary")
    unified, ledger = unify_vocabularies(models, first, folder)
    lines = ledger.lines()
    if lines and folder is not None:
        lines.append(f"added tokens: {folder / 'vocabulary.json'}")
    return unified, lines


def _from_recipe(options: Options) -> tuple["MergeConfig", dict[str, "Checkpoint"], list[str]]:
    from polylect.base import InputError
    from polylect.merging import open_models, read_recipe

    for name in ("method", "models", "weights", "base", "set"):
        if getattr(options, name):
            raise InputError(f"--{name} and a recipe", "change the recipe instead")
    assert options.recipe is not None
    recipe = read_recipe(options.recipe, seed=options.seed, parity=options.parity)
    ledger = recipe.ledger
    opened = open_models(list(recipe.models.values()), _inputs(options, "adapters"), ledger)
    models = dict(zip(recipe.models, opened, strict=True))
    for label, model in models.items():
        num_layers = model.config.get("num_hidden_layers")
        if recipe.num_layers and num_layers != recipe.num_layers:
            raise InputError(
                f"{options.recipe}: layer_range takes {recipe.num_layers} layers, {label} has "
                f"{num_layers}",
                "merge whole models",
            )
    config = recipe.config
    vocabulary = options.vocabulary if options.vocabulary != "same" else recipe.vocabulary or "same"
    models, lines = _on_one_vocabulary(options, vocabulary, models, config.base)
    if options.out_dtype:
        config = replace(config, out_dtype=options.out_dtype)
    if options.tokenizer_from:
        config = replace(config, tokenizer_from=options.tokenizer_from)
    return config, models, [*lines, *ledger.lines()]


def _settings(arguments: Sequence[str]) -> dict[str, bool | float | str]:
    """Options of the method, from NAME=VALUE: true, false, a number, or text."""
    from polylect.base import parse_pairs

    return {name: _value(text) for name, text in parse_pairs("set", arguments).items()}


def _value(text: str) -> bool | float | str:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


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
    lines.append(f"  files beside the weights: those of {plan.files_from}")
    return [*lines, *plan.ledger.lines()]
