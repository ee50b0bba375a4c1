"""A merge, checked from end to end before any tensor is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, did_you_mean
from polylect.checkpoints import FLOAT_DTYPES, Checkpoint, TensorSpec
from polylect.merging.arithmetic.stack import Workers, from_tensors
from polylect.merging.compatibility import check_agreement, output_specs
from polylect.merging.config import MergeConfig
from polylect.merging.operators.operator import Kernel, Operator, unknown_option
from polylect.merging.operators.registry import operator_named
from polylect.merging.tensor_settings import check_setting, positions, resolve

_WEIGHTS_RANGE = 1e12  # far from what float32 products and sums can hold


@dataclass(frozen=True)
class Plan:
    """What will be merged, and how.

    Attributes:
        config: what was asked for.
        models: all checkpoints by label, the base among them, in their order.
        specs: the tensors of the result, in order of names.
        ledger: what differs between the models and is settled by a rule.
        operator: the merge method.
    """

    config: MergeConfig
    models: Mapping[str, Checkpoint]
    specs: Sequence[TensorSpec]
    ledger: Ledger = field(compare=False)
    operator: Operator
    _positions: Mapping[str, float] = field(repr=False)

    @property
    def merged(self) -> list[str]:
        """Labels of the models that are merged: all but the base."""
        return [label for label in self.models if label != self.config.base]

    def options(self, tensor: str) -> dict[str, Any]:
        """The values of all options for one tensor.

        Raises:
            InputError: an option that must be given has no value for this tensor.
        """
        place = self._positions[tensor]
        found: dict[str, Any] = {}
        for name, option in self.operator.options.items():
            labels = self.merged if option.per_model else [""]
            values = [self._value(name, label, tensor, place) for label in labels]
            if all(value is None for value in values):
                continue
            if any(value is None for value in values):
                if option.required:
                    label = labels[values.index(None)]
                    raise InputError(
                        f"{label}: no {name} for tensor {tensor!r}", "add a value without a filter"
                    )
                filler = option.default[0]
                values = [filler if value is None else value for value in values]
            found[name] = tuple(values) if option.per_model else values[0]
        if self.operator.random:
            found["seed"] = self.config.seed
        return found

    def kernel(self, spec: TensorSpec, workers: Workers | None) -> Kernel:
        """How to make one tensor of floats; takes its statistics."""
        base = self.config.base
        stack = from_tensors(
            spec.name,
            [(label, self.models[label].tensors[spec.name]) for label in self.merged],
            base=None if base is None else (base, self.models[base].tensors[spec.name]),
            dtype=np.float64 if spec.dtype == "F64" else np.float32,
            parity=self.models[self.merged[0]].tensors[spec.name].dtype
            if self.config.parity
            else None,
            workers=workers,
        )
        return self.operator.kernel(stack, self.options(spec.name))

    def _value(self, name: str, label: str, tensor: str, place: float) -> Any:
        for source in (self.config.model_options.get(label, {}), self.config.options):
            if name in source:
                value = resolve(source[name], tensor, place)
                if value is not None:
                    return value
        return None


def plan_merge(config: MergeConfig, models: Mapping[str, Checkpoint]) -> Plan:
    """The plan of a merge, after everything was checked that needs no tensor.

    Args:
        config: what to do.
        models: checkpoints by label, in the order in which they take part.

    Raises:
        InputError: an unknown method or option, an option without a value, weights that cannot be
            divided by, the wrong number of models, a missing base; architectures, tokenizers or
            tensors that differ.
    """
    operator = operator_named(config.method)
    _check_models(config, operator, models)
    _check_options(config, operator, models)
    if config.out_dtype is not None and config.out_dtype not in FLOAT_DTYPES:
        raise InputError(
            f"out_dtype is {config.out_dtype!r}", f"choose from {', '.join(FLOAT_DTYPES)}"
        )
    ledger = check_agreement(models)
    specs = output_specs(models, config.out_dtype)
    plan = Plan(
        config=config,
        models=models,
        specs=specs,
        ledger=ledger,
        operator=operator,
        _positions=positions(one.name for one in specs),
    )
    for spec in specs:
        if spec.dtype in FLOAT_DTYPES:
            _check_weights(plan, spec.name)
    return plan


def _check_models(config: MergeConfig, one: Operator, models: Mapping[str, Checkpoint]) -> None:
    if not models:
        raise InputError("no models to merge", "give at least one checkpoint")
    base = config.base
    if base is not None and base not in models:
        hint = did_you_mean(base, list(models)) or f"the models are {', '.join(models)}"
        raise InputError(f"base {base!r} is not among the models", hint)
    if one.base == "required" and base is None:
        raise InputError(f"{one.name} needs a base", "name it: --base DIR")
    if one.base == "none" and base is not None:
        raise InputError(f"{one.name} takes no base", "leave it out, or give it as a model")
    num = len(models) - (base is not None)
    if num < one.min_models:
        raise InputError(
            f"{one.name} merges at least {one.min_models} models besides the base, here {num}",
            "give more",
        )
    if one.max_models is not None and num > one.max_models:
        beside = " besides the base" if base is not None else ""
        raise InputError(
            f"{one.name} takes {one.max_models} model{beside}, here are {num}", "give fewer"
        )


def _check_options(config: MergeConfig, one: Operator, models: Mapping[str, Checkpoint]) -> None:
    for label in config.model_options:
        if label not in models:
            hint = did_you_mean(label, list(models)) or f"the models are {', '.join(models)}"
            raise InputError(f"options for an unknown model {label!r}", hint)
    sources = [("", config.options), *config.model_options.items()]
    for label, options in sources:
        for name, setting in options.items():
            if name not in one.options:
                raise unknown_option(one, name)
            if label and not one.options[name].per_model:
                raise InputError(
                    f"{label}: {name} is not a model's own in {one.name}",
                    "give it once for the whole merge",
                )
            check_setting(name, setting, one.options[name].kind, label or one.name)
    if config.options.get("seed", config.seed) != config.seed:
        raise InputError("seed is given twice", "give it once: --seed")


def _check_weights(plan: Plan, tensor: str) -> None:
    """Weights that a sum can be divided by, where it will be; required options are there."""
    options = plan.options(tensor)
    for name, option in plan.operator.options.items():
        if option.required and name not in options:
            raise InputError(
                f"{plan.operator.name} needs {name} (for tensor {tensor!r})",
                f"give it: --set {name}=0.5",
            )
    check_shares(options.get("weight", (1.0,)), _is_divided(plan.operator, options))


def _is_divided(one: Operator, options: Mapping[str, Any]) -> bool:
    if one.name != "linear":
        return False  # the others have a rule for sums of 0
    return bool(options.get("normalize", one.options["normalize"].default))


def check_shares(weights: Sequence[float], divided: bool) -> None:
    """Refuses weights that are not finite, out of range, or sum to 0 where they are divided by."""
    for number, weight in enumerate(weights, start=1):
        if not math.isfinite(weight):
            raise InputError(f"weight {number} is {weight}", "weights must be finite numbers")
    size, total = math.fsum(abs(one) for one in weights), math.fsum(weights)
    if size > _WEIGHTS_RANGE or (divided and 0 < size < 1 / _WEIGHTS_RANGE):
        raise InputError(f"weights are of the order of {size:g}", "scale them to around 1")
    # 0.1 + 0.2 - 0.3 is not 0 in floats, but it is rounding and nothing else.
    if divided and not abs(total) > 1e-6 * size:
        listed = ", ".join(f"{one:g}" for one in weights)
        raise InputError(
            f"weights {listed} sum to {total:g}, which nothing can be divided by",
            "change a weight, or set normalize=False",
        )
