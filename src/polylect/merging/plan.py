"""The plan of a merge, checked completely before any tensor is read."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, check_known, count_look_alikes
from polylect.checkpoints import FLOAT_DTYPES, Checkpoint, TensorSpec
from polylect.merging.arithmetic.stack import from_arrays, from_tensors
from polylect.merging.companions import model_of_files
from polylect.merging.config import INPUTS, MergeConfig
from polylect.merging.operators.cancellation import check_normalizable
from polylect.merging.operators.operator import Kernel, Operator, unknown_option
from polylect.merging.operators.registry import operator_named
from polylect.merging.operators.sparsity import check_spread
from polylect.merging.tensor_settings import (
    check_setting,
    layer_positions,
    resolve,
    unused_filters,
)
from polylect.models import check_compatible, is_weight, output_specs

_WEIGHT = "weight"
_NARROW_IN_MERGEKIT = ("model_stock", "multislerp", "sce")
_OTHER_MASKS = "other than in mergekit: which elements are dropped"
_WEIGHTS_RANGE = 1e12  # far below what overflows float32 products and sums


@dataclass(frozen=True)
class Plan:
    """What will be merged, and how.

    Attributes:
        config: method and options.
        models: all checkpoints by label, in order, the base among them.
        specs: the tensors of the result, sorted by name.
        ledger: harmless differences between the models.
        operator: the merge method.
        files_from: label of the model whose files beside the weights the result has.
    """

    config: MergeConfig
    models: Mapping[str, Checkpoint]
    specs: Sequence[TensorSpec]
    ledger: Ledger = field(compare=False)
    operator: Operator
    files_from: str
    _positions: Mapping[str, float] = field(repr=False)

    @property
    def config_from(self) -> str:
        """Label of the model whose config.json the result has: the base, or the first."""
        return _first(self.config, self.models)

    @property
    def merged(self) -> list[str]:
        """Labels of the models that are merged: all except the base."""
        return [label for label in self.models if label != self.config.base]

    def options(self, tensor: str) -> dict[str, Any]:
        """The values of all options for one tensor.

        Weights are given to every model and tensor, or to none (then all are 1). Of another option
        that is given, a missing value is the default.

        Raises:
            InputError: a required option, or a weight beside given ones, has no value.
        """
        options: dict[str, Any] = {}
        for name, option in self.operator.options.items():
            labels = self.merged if option.per_model else [""]
            values = [self._value(name, label, tensor) for label in labels]
            if all(value is None for value in values):
                if name == _WEIGHT and (self._is_given(name) or self.config.weights_required):
                    raise InputError(
                        f"{labels[0]}: no {name} for tensor {tensor!r}",
                        "add a value without a filter",
                    )
                continue
            if any(value is None for value in values):
                if option.required or name == _WEIGHT:
                    label = labels[values.index(None)]
                    raise InputError(
                        f"{label}: no {name} for tensor {tensor!r}", "add a value without a filter"
                    )
                default = option.default[0]
                values = [default if value is None else value for value in values]
            options[name] = tuple(values) if option.per_model else values[0]
        if self.operator.random:
            options["seed"] = self.config.seed
        return options

    def parity(self, tensor: str) -> str | None:
        """The dtype that every step is rounded to; None without parity."""
        if not self.config.parity:
            return None
        return self.rounded(tensor) or self.models[self.merged[0]].tensors[tensor].dtype

    def rounded(self, tensor: str) -> str | None:
        """The dtype that inputs and results are rounded to; None: only results, when written."""
        if self.config.dtype != INPUTS:
            return self.config.dtype
        dtypes = {model.tensors[tensor].dtype for model in self.models.values()}
        return dtypes.pop() if len(dtypes) == 1 else "F64" if "F64" in dtypes else "F32"

    def kernel(self, spec: TensorSpec, workers: Executor | None) -> Kernel:
        """The kernel for one tensor of floats; computes its statistics, in the workers if given."""
        base, rounded = self.config.base, self.rounded(spec.name)
        stack = from_tensors(
            spec.name,
            [(label, self.models[label].tensors[spec.name]) for label in self.merged],
            base=None if base is None else (base, self.models[base].tensors[spec.name]),
            dtype=np.float64 if (rounded or spec.dtype) == "F64" else np.float32,
            rounded=rounded,
            parity=self.parity(spec.name),
            workers=workers,
            digests=self._digests(spec.name) if self.operator.random else None,
        )
        return self.operator.kernel(stack, self.options(spec.name))

    def missing(self, tensor: str) -> list[tuple[str, str]]:
        """Options with labels of models that have the default for a tensor where others do not."""
        missing: list[tuple[str, str]] = []
        for name, option in self.operator.options.items():
            if option.per_model and self._is_given(name):
                missing += [
                    (name, label)
                    for label in self.merged
                    if self._value(name, label, tensor) is None
                ]
        return missing

    def _digests(self, tensor: str) -> Callable[[], list[str]]:
        """The digests of a tensor in the merged models."""
        digests = [self.models[label].tensor_digests[tensor] for label in self.merged]
        return lambda: digests

    def _is_given(self, name: str) -> bool:
        sources = (self.config.options, *map(self._of_model, self.merged))
        return any(name in options for options in sources)

    def _of_model(self, label: str) -> Mapping[str, Any]:
        return self.config.model_options.get(label, {})

    def _value(self, name: str, label: str, tensor: str) -> Any:
        for source in (self._of_model(label), self.config.options):
            if name in source:
                value = resolve(source[name], tensor, self._positions[tensor])
                if value is not None:
                    return value
        return None


def plan_merge(config: MergeConfig, models: Mapping[str, Checkpoint]) -> Plan:
    """Plan a merge and check everything that needs no tensor.

    Args:
        config: method and options.
        models: checkpoints by label, in order.

    Raises:
        InputError: an unknown method or option, an option without a value, weights that cannot be
            normalized, the wrong number of models, a missing base; architectures, tokenizers or
            tensors that differ.
    """
    operator = operator_named(config.method)
    _check_models(config, operator, models)
    _check_options(config, operator, models)
    if config.out_dtype is not None:
        problem = f"out_dtype is {config.out_dtype!r}"
        check_known(config.out_dtype, FLOAT_DTYPES, problem, "choose from")
    if config.dtype is not None:
        problem = f"dtype is {config.dtype!r}"
        check_known(config.dtype, (*FLOAT_DTYPES, INPUTS), problem, "choose from")
    first = _first(config, models)
    folders = {label: model.path for label, model in models.items()}
    files_from = model_of_files(folders, first, config.tokenizer_from)
    ledger, left_out = check_compatible(models, first, files_from)
    count_look_alikes(ledger, "models", models)
    specs = output_specs(models, config.out_dtype, left_out)
    plan = Plan(
        config=config,
        models=models,
        specs=specs,
        ledger=ledger,
        operator=operator,
        files_from=files_from,
        _positions=layer_positions(spec.name for spec in specs),
    )
    if config.parity and operator.random:
        ledger.count(_OTHER_MASKS, where=config.method)
    for name in config.model_options.get(config.base or "", {}):
        ledger.count(f"ignored: {name} of the base", where=config.base or "")
    weights = [spec.name for spec in specs if is_weight(spec)]
    for label, options in (("", config.options), *config.model_options.items()):
        for name, setting in options.items():
            for pattern in unused_filters(setting, weights):
                ledger.count(f"without effect: filter {pattern!r}", 1, f"{label} {name}".strip())
    tried: set[str] = set()
    for spec in specs:
        if is_weight(spec):
            for name, label in plan.missing(spec.name):
                ledger.count(f"filled in: default {name} for a tensor without one", where=label)
            _check_weights(plan, spec.name)
            _try_options(plan, spec.name, tried)
    return plan


def _first(config: MergeConfig, models: Mapping[str, Checkpoint]) -> str:
    return config.base if config.base is not None else next(iter(models))


def _check_models(
    config: MergeConfig, operator: Operator, models: Mapping[str, Checkpoint]
) -> None:
    if not models:
        raise InputError("no models to merge", "give at least one checkpoint")
    base = config.base
    if base is not None:
        check_known(base, models, f"base {base!r} is not among the models", "the models are")
    if operator.base == "required" and base is None:
        raise InputError(f"{operator.name} needs a base", "name it: --base DIR")
    if operator.base == "none" and base is not None:
        raise InputError(f"{operator.name} takes no base", "leave it out, or give it as a model")
    num = len(models) - (base is not None)
    if num < operator.min_models:
        raise InputError(
            f"{operator.name} merges at least {operator.min_models} models besides the base, "
            f"here {num}",
            "give more",
        )
    if operator.max_models is not None and num > operator.max_models:
        beside = " besides the base" if base is not None else ""
        raise InputError(
            f"{operator.name} takes {operator.max_models} model{beside}, here are {num}",
            "give fewer",
        )


def _check_options(
    config: MergeConfig, operator: Operator, models: Mapping[str, Checkpoint]
) -> None:
    for label in config.model_options:
        check_known(label, models, f"options for an unknown model {label!r}", "the models are")
    sources = [("", config.options), *config.model_options.items()]
    for label, options in sources:
        for name, setting in options.items():
            if name not in operator.options:
                raise unknown_option(operator, name)
            if label and not operator.options[name].per_model:
                raise InputError(
                    f"{label}: {name} cannot differ between models in {operator.name}",
                    "give it once for the whole merge",
                )
            option = operator.options[name]
            check_setting(name, setting, option.kind, label or operator.name, option.allowed)
    if config.options.get("seed", config.seed) != config.seed:
        raise InputError("seed is given twice", "give it once: --seed")


def _check_weights(plan: Plan, tensor: str) -> None:
    """Check that weights can be normalized where they will be, and that no option is missing."""
    options = plan.options(tensor)
    for name, option in plan.operator.options.items():
        if option.required and name not in options:
            raise InputError(
                f"{plan.operator.name} needs {name} (for tensor {tensor!r})",
                f"--{name} 0.5, or in a recipe 'parameters: {{{name}: 0.5}}'",
            )
    if "epsilon" in plan.operator.options:
        taken = plan.operator.options
        values = {name: taken[name].default * len(plan.merged) for name in ("density", "epsilon")}
        values |= options
        check_spread(values["density"], values["epsilon"])
    check_weights(options.get("weight", (1.0,)), _normalizes(plan.operator, options))


def _try_options(plan: Plan, tensor: str, tried: set[str]) -> None:
    """Make the kernel of a tensor of one 0, so that options are refused before any is read."""
    options, parity = plan.options(tensor), plan.parity(tensor)
    if parity in {"BF16", "F16"} and plan.operator.name in _NARROW_IN_MERGEKIT:
        raise InputError(
            f"{plan.operator.name}: no parity with mergekit, which computes its angles and "
            f"variances in {parity}",
            "leave --parity out",
        )
    key = repr((options, parity))
    if key not in tried:
        tried.add(key)
        zeros = [np.zeros(1, np.float32)] * len(plan.merged)
        base = None if plan.config.base is None else zeros[0]
        stack = from_arrays(zeros, base=base, name=tensor, labels=plan.merged, parity=parity)
        plan.operator.kernel(stack, options)


def _normalizes(operator: Operator, options: Mapping[str, Any]) -> bool:
    if operator.name != "linear":
        return False  # the others have a rule for sums of 0
    return bool(options.get("normalize", operator.options["normalize"].default))


def check_weights(weights: Sequence[float], normalize: bool) -> None:
    """Refuse weights that are not finite, out of range, or sum to 0 but are to be normalized.

    Raises:
        InputError: names the weight.
    """
    for number, weight in enumerate(weights, start=1):
        if not math.isfinite(weight):
            raise InputError(f"weight {number} is {weight}", "weights must be finite numbers")
    abs_total = math.fsum(map(abs, weights))
    if abs_total > _WEIGHTS_RANGE or (normalize and 0 < abs_total < 1 / _WEIGHTS_RANGE):
        raise InputError(f"weights are of the order of {abs_total:g}", "scale them to around 1")
    if normalize:
        check_normalizable(weights)
