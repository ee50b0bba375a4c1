"""Configuration of merges; plain dataclasses."""

from dataclasses import dataclass, field
from typing import Any

from polylect.base import Finite, Seed, check_settings
from polylect.checkpoints import DTYPE_OF_TORCH_NAME, FLOAT_DTYPES

INPUTS = "inputs"
"""The ``dtype`` of a merge that is rounded to the inputs' own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearConfig:
    """A linear merge: the weighted sum of checkpoints.

    Attributes:
        weights: one for each model, in their order; None: the same for all.
        normalize: divide by the sum of the weights, so that 0.1 and 1.0 mean one part in eleven.
    """

    weights: tuple[Finite, ...] | None = None
    normalize: bool = True

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConfig:
    """A merge by any operator.

    An option's value is a number; or a list of numbers, interpolated from the first layer to the
    last; or a list of ``{filter, value}``, of which the first whose filter matches the tensor's
    name applies.

    Attributes:
        method: name of an operator; ``polylect merge --help`` lists them.
        options: the operator's options by name, for all models.
        model_options: options of single models, by label, then by name; they override ``options``.
            Ignored for the base.
        base: label of the model that differences are taken from; it is not merged itself.
        out_dtype: F64, F32, F16 or BF16 for all float tensors, or torch's name of it; None: the
            dtypes of the inputs.
        dtype: mergekit's ``dtype``: inputs are rounded to it before they are merged, and results
            before they are written as ``out_dtype``; ``inputs`` for that of the inputs. None rounds
            once, to the dtype that is written.
        weights_required: refuse a merge without weights, as mergekit does; else all are equal.
        seed: seed of the random operators.
        parity: round every step to the inputs' dtype, as mergekit 0.1.5 does.
        tokenizer_from: label of the model whose tokenizer, chat template and other files beside the
            weights the merge has; None: see ``model_of_files``.
    """

    method: str = "linear"
    options: dict[str, Any] = field(default_factory=dict)
    model_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    base: str | None = None
    out_dtype: str | None = None
    dtype: str | None = None
    weights_required: bool = False
    seed: Seed = 0
    parity: bool = False
    tokenizer_from: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("out_dtype", "dtype"):
            given = getattr(self, name)
            if given:
                known = DTYPE_OF_TORCH_NAME.get(given.lower(), given.upper().replace("FP", "F"))
                object.__setattr__(self, name, known if known in FLOAT_DTYPES else given)
