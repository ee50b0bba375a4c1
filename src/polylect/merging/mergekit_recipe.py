"""mergekit's recipe files: reads the common subset, and names what it does not support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, check_known, did_you_mean
from polylect.checkpoints import FLOAT_DTYPES, TORCH_NAMES
from polylect.merging.config import INPUTS, MergeConfig
from polylect.merging.names import unique_names
from polylect.merging.operators.registry import OPERATORS, operator_named
from polylect.merging.recipe_yaml import load_mapping

_DTYPES = {TORCH_NAMES[dtype]: dtype for dtype in FLOAT_DTYPES}
_KEYS = (
    "merge_method", "models", "slices", "base_model", "parameters", "dtype", "out_dtype",
    "tokenizer_source", "chat_template",
)  # fmt: skip
_UNSUPPORTED = {
    "modules": "recipes with several modules",
    "tokenizer": "changing the tokenizer",
}
_NO_EFFECT = "ignored: int8_mask changes no result"
_ALL_LAYERS = "give [0, number of layers] for all sources, or list models in place of slices"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A recipe file.

    Attributes:
        config: configuration of the merge.
        models: folders by label, in order, the base among them.
        num_layers: layers that a slice takes from every model; 0: all.
        vocabulary: ``union`` to unify the models' vocabularies, else empty.
        ledger: keys without effect.
    """

    config: MergeConfig
    models: dict[str, Path]
    num_layers: int
    vocabulary: str
    ledger: Ledger


def read_recipe(path: Path, *, seed: int = 0, parity: bool = False) -> Recipe:
    """Read a YAML recipe of mergekit.

    Supported are ``models``, or one slice of all layers; ``base_model``; ``parameters`` at every
    level, with filters and gradients; ``dtype`` (inputs and results are rounded to it; sums are
    always in float32) and ``out_dtype``; ``rescale`` of DARE and DELLA (true, the default as in
    mergekit, means ``l1``); ``tokenizer_source``: ``union``, ``base``, or one of the models. Model
    paths are folders, relative to the recipe or else to the working directory; ``BASE+ADAPTER`` is
    a base with a LoRA adapter.

    Does not support several slices (restacked layers), modules, sources of single tokens, setting a
    chat template, or downloading models: each is refused by name.

    Args:
        path: the file.
        seed: seed of the random operators.
        parity: round every step as mergekit does.

    Raises:
        InputError: not YAML, or not a supported recipe; names the key.
    """
    raw = load_mapping(path)
    for key in raw:
        if key in _UNSUPPORTED:
            raise InputError(
                f"{path}: {key}: {_UNSUPPORTED[key]} is not supported", "merge with plain models"
            )
        if key not in _KEYS:
            raise InputError(f"{path}: unknown key {key!r}", _place_of(key, _KEYS))
    if raw.get("chat_template") not in {None, "auto"}:
        raise InputError(f"{path}: chat_template: setting one is not supported", "leave it out")
    method = _text(raw, "merge_method", path)
    operator = operator_named(method)
    ledger = Ledger()
    entries, shared, num_layers = _entries(raw, path, ledger)
    options = _over(shared, _options(raw.get("parameters"), "parameters", path, ledger))
    if "rescale" in operator.options:
        options.setdefault("rescale", "l1")  # mergekit's default
    elif options.get("rescale") == "none":
        del options["rescale"]
    base = raw.get("base_model")
    if base is not None and not isinstance(base, str):
        raise InputError(f"{path}: base_model is {base!r}", "give a folder: base_model: DIR")
    ordered = [entry["model"] for entry in entries]
    if base is not None and base not in ordered:
        if operator.base == "none":
            ordered.append(base)  # mergekit merges it like the others
        else:
            ordered.insert(0, base)
    labels = dict(zip(ordered, unique_names([Path(name).name for name in ordered]), strict=True))
    models = {labels[name]: _folder(name, path) for name in ordered}
    has_base = base is not None and operator.base != "none"
    model_options: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry["model"]
        given = _options(entry.get("parameters"), f"model {name}", path, ledger)
        for key in list(given):
            is_for_all = key in operator.options and not operator.options[key].per_model
            if is_for_all and operator.options[key].required:
                raise InputError(
                    f"{path}: model {name}: {key} is of the whole merge in {method}",
                    f"put it below the recipe's own 'parameters: {{{key}: …}}'",
                )
            if is_for_all or (has_base and name == base):
                ledger.count(f"ignored, as by mergekit: {key} of one model", where=labels[name])
                del given[key]
        model_options[labels[name]] = given
    for key in ("dtype", "out_dtype"):
        if raw.get(key) is not None:
            check_known(str(raw[key]), _DTYPES, f"{path}: {key} {raw[key]!r}", "choose from")
    dtype, out_dtype = (_DTYPES.get(raw.get(key) or "") for key in ("dtype", "out_dtype"))
    vocabulary, tokenizer_from = _tokenizer_source(raw, labels, path)
    config = MergeConfig(
        method=method,
        options=options,
        model_options={label: given for label, given in model_options.items() if given},
        base=labels[base] if has_base else None,
        out_dtype=out_dtype or dtype,
        dtype=dtype or (INPUTS if out_dtype else None),
        weights_required=True,
        seed=seed,
        parity=parity,
        tokenizer_from=tokenizer_from,
    )
    return Recipe(
        config=config,
        models=models,
        num_layers=num_layers,
        vocabulary=vocabulary,
        ledger=ledger,
    )


def _over(specific: Mapping[str, Any], general: Mapping[str, Any]) -> dict[str, Any]:
    """Options of which the specific come first, the general where no filter of theirs fits."""
    joint = dict(general)
    for name, setting in specific.items():
        if name in general and _has_filters(setting):
            others = general[name] if _has_filters(general[name]) else [{"value": general[name]}]
            joint[name] = [*setting, *others]
        else:
            joint[name] = setting
    return joint


def _has_filters(setting: Any) -> bool:
    return isinstance(setting, list) and bool(setting) and isinstance(setting[0], dict)


def _tokenizer_source(
    raw: Mapping[str, Any], labels: Mapping[str, str], path: Path
) -> tuple[str, str | None]:
    """``union`` if the vocabularies are unified, and the label of the model that is named instead.

    mergekit fills a missing row differently: with the mean over the models that have the token.
    """
    source = raw.get("tokenizer_source")
    if source is None or source == "union":
        return source or "", None
    if source == "base":
        base = raw.get("base_model")
        return "", labels[base] if base is not None else next(iter(labels.values()))
    if not isinstance(source, str) or source not in labels:
        raise InputError(
            f"{path}: tokenizer_source is {source!r}",
            f"union, base, or one of the models: {', '.join(labels)}",
        )
    return "", labels[source]


def _entries(
    raw: Mapping[str, Any], path: Path, ledger: Ledger
) -> tuple[list[Any], dict[str, Any], int]:
    """The models with their parameters, the parameters of the slice, and its number of layers."""
    if ("models" in raw) == ("slices" in raw):
        raise InputError(f"{path}: needs either models or slices", "list the models")
    if "models" in raw:
        return _check_entries(raw["models"], "models", ("model", "parameters"), path), {}, 0
    slices = raw["slices"]
    if not isinstance(slices, list) or len(slices) != 1 or not isinstance(slices[0], dict):
        raise InputError(
            f"{path}: slices: stacking several slices is not supported", "merge whole models"
        )
    for name in slices[0]:
        if name not in {"sources", "parameters"}:
            raise InputError(f"{path}: slices: {name} is not supported", "set it for all")
    keys = ("model", "parameters", "layer_range")
    entries = _check_entries(slices[0].get("sources"), "sources", keys, path)
    num_layers = {_num_layers(entry, path) for entry in entries}
    if len(num_layers) > 1:
        given = ", ".join(str(entry["layer_range"]) for entry in entries)
        raise InputError(f"{path}: slices: layer_range is {given}", _ALL_LAYERS)
    shared = _options(slices[0].get("parameters"), "slice", path, ledger)
    return entries, shared, num_layers.pop()


def _num_layers(entry: Mapping[str, Any], path: Path) -> int:
    """The number of layers of a source that takes all of them."""
    value = entry.get("layer_range")
    is_pair = isinstance(value, list) and len(value) == 2
    if is_pair and all(type(number) is int for number in value):
        first, end = value
        if first == 0 and end > 0:
            return end
    given = f"layer_range is {value!r}" if value is not None else "no layer_range"
    raise InputError(f"{path}: slices: {entry['model']}: {given}", _ALL_LAYERS)


def _check_entries(entries: Any, key: str, keys: Sequence[str], path: Path) -> list[Any]:
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: {key} is not a list of models", "begin with - model: DIR")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
            raise InputError(f"{path}: {key}: no model in {entry!r}", "begin with - model: DIR")
        for name in entry:
            if name not in keys:
                raise InputError(f"{path}: {key}: unknown key {name!r}", _place_of(name, keys))
    names = [entry["model"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: {name} is listed twice", "add up its weights")
    return entries


def _place_of(name: object, keys: Sequence[str]) -> str:
    """The hint for a key that stands where none of that name belongs."""
    parameters = {option for operator in OPERATORS.values() for option in operator.options}
    if "parameters" in keys and name in parameters:
        return f"put it below parameters: 'parameters: {{{name}: …}}'"
    return did_you_mean(str(name), keys) or f"known are {', '.join(keys)}"


def _options(parameters: Any, where: str, path: Path, ledger: Ledger) -> dict[str, Any]:
    """Mergekit's parameters as options of our operators."""
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError(f"{path}: {where}: parameters are not a mapping", "e.g. weight: 0.5")
    options = {
        name: [setting] if isinstance(setting, dict) else setting
        for name, setting in parameters.items()
        if setting is not None
    }
    for name, setting in options.items():
        for entry in setting if _has_filters(setting) else ():
            pattern = entry.get("filter") if isinstance(entry, dict) else None
            if isinstance(pattern, str) and pattern != "*" and set(pattern) & set("*?["):
                raise InputError(
                    f"{path}: {where}: {name} has the filter {pattern!r}, which mergekit takes "
                    "letter by letter",
                    "give a part of the tensors' names",
                )
    if options.pop("int8_mask", None) is not None:
        ledger.count(_NO_EFFECT)
    if options.get("filter_wise") is False:
        del options["filter_wise"]  # mergekit's default, and all that there is here
    elif "filter_wise" in options:
        raise InputError(
            f"{path}: {where}: filter_wise is {options['filter_wise']!r}, which is not supported",
            "filter_wise: false",
        )
    if "rescale" in options:
        options["rescale"] = _rescale(options["rescale"])
    return options


def _rescale(setting: Any) -> Any:
    """Mergekit's true and false as our names, below filters too."""
    if isinstance(setting, bool):
        return "l1" if setting else "none"
    if _has_filters(setting):
        return [{**entry, "value": _rescale(entry.get("value"))} for entry in setting]
    return [_rescale(value) for value in setting] if isinstance(setting, list) else setting


def _text(raw: Mapping[str, Any], key: str, path: Path) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise InputError(f"{path}: no {key}", f"add a line, e.g. {key}: linear")
    return value


def _folder(name: str, recipe: Path) -> Path:
    """The folder of a model that a recipe names."""
    if "+" in name and not Path(name).is_dir():
        base, _, adapter = name.rpartition("+")
        return Path(f"{_folder(base, recipe)}+{_folder(adapter, recipe)}")
    relative = recipe.parent / name
    return relative if relative.is_dir() else Path(name)
