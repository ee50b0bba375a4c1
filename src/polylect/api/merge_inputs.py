"""What ``merge`` merges: models and a configuration, from options or from a mergekit recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.notices import notice
from polylect.base import InputError, Ledger

if TYPE_CHECKING:
    from polylect.api.merge_methods import MethodOptions
    from polylect.api.merge_options import MergeOptions
    from polylect.checkpoints import Checkpoint
    from polylect.merging import MergeConfig

_RECIPES = (".yml", ".yaml")


@dataclass(frozen=True)
class MergeInputs:
    """What is merged.

    Attributes:
        config: of the merge.
        names: folders, and bases with adapters, in order.
        models: the same as checkpoints, by label.
        vocabulary: ``same`` or ``union``.
        ledger: counts so far.
    """

    config: "MergeConfig"
    names: Sequence[Path]
    models: "Mapping[str, Checkpoint]"
    vocabulary: str
    ledger: Ledger

    @property
    def are_prepared(self) -> bool:
        """Whether models may have to be written anew before they are merged."""
        return self.vocabulary != "same" or any("+" in str(name) for name in self.names)


def with_recipe(options: "MergeOptions") -> "MergeOptions":
    """The options with the recipe that stands in place of the models under its own name.

    Raises:
        InputError: something that the recipe says is given beside it.
    """
    recipes = [path for path in options.models if path.suffix.lower() in _RECIPES]
    if recipes:
        others = [path for path in options.models if path not in recipes]
        others += [] if options.recipe is None else [options.recipe]
        if others or len(recipes) > 1:
            raise InputError(
                f"merge: {[*recipes[1:], *others][0]} beside the recipe {recipes[0]}",
                "give the recipe alone, or models alone",
            )
        options = replace(options, models=(), recipe=recipes[0])
    if options.recipe is not None:
        own = [name for name in ("models", "method", "weights", "base") if getattr(options, name)]
        for name in (*own, *_given(options.method_options)):
            raise InputError(f"{_typed(name)} beside a recipe", "change the recipe instead")
    return options


def open_inputs(options: "MergeOptions", folder: Path | None) -> MergeInputs:
    """The inputs of a merge.

    Args:
        options: of the verb, see ``with_recipe``.
        folder: where adapters are applied and vocabularies extended; None only plans it.

    Raises:
        InputError: a model or the recipe cannot be read, or options do not fit them.
    """
    ledger = Ledger()
    adapters = None if folder is None else folder / "adapters"
    if options.recipe is None:
        config, names, models = _from_options(options, adapters, ledger)
        vocabulary: str = options.vocabulary
    else:
        config, names, models, vocabulary = _from_recipe(options, adapters, ledger)
    if vocabulary == "union":
        models = _unified(models, config.base, folder, ledger)
    return MergeInputs(config, names, models, vocabulary, ledger)


def _unified(
    models: "Mapping[str, Checkpoint]", base: str | None, folder: Path | None, ledger: Ledger
) -> "Mapping[str, Checkpoint]":
    """The models, extended to the union of their vocabularies."""
    from polylect.merging import unify_vocabularies

    place = None if folder is None else folder / "vocabulary"
    first = base if base is not None else next(iter(models))
    unified, counts = unify_vocabularies(models, first, place)
    ledger.add(counts)
    if counts and place is not None:
        notice(f"added tokens: {place / 'vocabulary.json'}")
    return unified


def _from_options(
    options: "MergeOptions", adapters: Path | None, ledger: Ledger
) -> "tuple[MergeConfig, Sequence[Path], Mapping[str, Checkpoint]]":
    from polylect.merging import MergeConfig, label_models, open_models, operator_named

    operator = operator_named(options.method or "linear")
    if not options.models:
        raise InputError("merge: no models", "polylect merge A B --out DIR")
    settings = {"weight": options.weights} if options.weights else {}
    settings |= _given(options.method_options)
    for name in settings:
        if name not in operator.options:
            own = ", ".join(_typed(option) for option in operator.options)
            hint = f"it takes {own}" if own else "it takes no options"
            raise InputError(f"{operator.name} takes no {_typed(name)}", hint)
    for name, values in settings.items():
        wanted = {len(options.models)} if name == "weight" else {1, len(options.models)}
        if isinstance(values, tuple) and len(values) not in wanted:
            what = "weights" if name == "weight" else f"values of {_typed(name)}"
            raise InputError(
                f"{len(values)} {what} for {len(options.models)} models", "give one for each"
            )
    names, base = _with_base(
        options, first=operator.base == "required" and operator.max_models == 1
    )
    models = label_models(open_models(names, adapters, ledger))
    labels = list(models)
    listed = labels[len(names) - len(options.models) :]
    config = MergeConfig(
        method=operator.name,
        options=_for_all(settings),
        model_options=_per_model(settings, listed),
        base=None if base is None else labels[base],
        out_dtype=options.out_dtype or None,
        seed=options.seed,
        parity=options.parity,
        tokenizer_from=options.tokenizer_from or None,
    )
    return config, names, models


def _for_all(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options with one value for all models."""
    single = {name: values[0] if isinstance(values, tuple) else values
              for name, values in settings.items() if not _differs(name, values)}  # fmt: skip
    return single


def _per_model(settings: Mapping[str, Any], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The options with a value for each model, by label."""
    several = {name: values for name, values in settings.items() if _differs(name, values)}
    if not several:
        return {}
    return {
        label: {name: values[number] for name, values in several.items()}
        for number, label in enumerate(labels)
    }


def _differs(name: str, values: object) -> bool:
    """Whether an option has a value for each model; a weight always has."""
    return isinstance(values, tuple) and (len(values) > 1 or name == "weight")


def _given(options: "MethodOptions") -> dict[str, Any]:
    """The options of the method that were given, by their names in recipes."""
    values = {entry.name.rstrip("_"): getattr(options, entry.name) for entry in fields(options)}
    return {name: value for name, value in values.items() if value not in (None, ())}


def _typed(name: str) -> str:
    return f"--{'weights' if name == 'weight' else name.replace('_', '-')}"


def _with_base(options: "MergeOptions", *, first: bool) -> tuple[list[Path], int | None]:
    """The folders with that of the base among them, and the position of the base.

    Args:
        options: of the verb.
        first: whether the first model is the base where none is named.

    Raises:
        InputError: the base is among the models twice.
    """
    paths = list(options.models)
    if options.base is None:
        return paths, 0 if first else None
    place = options.base.resolve()
    listed = [number for number, path in enumerate(paths) if path.resolve() == place]
    if len(listed) > 1:
        raise InputError(f"{options.base}: the base, and among the models twice", "list it once")
    return (paths, listed[0]) if listed else ([options.base, *paths], 0)


def _from_recipe(
    options: "MergeOptions", adapters: Path | None, ledger: Ledger
) -> "tuple[MergeConfig, Sequence[Path], Mapping[str, Checkpoint], str]":
    from polylect.merging import open_models, read_recipe

    assert options.recipe is not None
    recipe = read_recipe(options.recipe, seed=options.seed, parity=options.parity)
    ledger.add(recipe.ledger)
    names = list(recipe.models.values())
    models = dict(zip(recipe.models, open_models(names, adapters, ledger), strict=True))
    for label, model in models.items():
        num_layers = model.config.get("num_hidden_layers")
        if recipe.num_layers and num_layers != recipe.num_layers:
            raise InputError(
                f"{options.recipe}: layer_range takes {recipe.num_layers} layers, {label} has "
                f"{num_layers}",
                "merge whole models",
            )
    config = recipe.config
    if options.out_dtype:
        config = replace(config, out_dtype=options.out_dtype)
    if options.tokenizer_from:
        config = replace(config, tokenizer_from=options.tokenizer_from)
    vocabulary = options.vocabulary if options.vocabulary != "same" else recipe.vocabulary or "same"
    return config, names, models, vocabulary
