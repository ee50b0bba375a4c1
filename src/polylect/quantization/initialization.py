"""Whether transformers opens what will be written, found out before anything is.

Its loader runs ``_init_weights`` over every module of a model, also of a quantized one, whose
linear layers have codes and scales in place of a weight. Some architectures read the weight of a
linear layer there by its name (those that scale residual projections as GPT-2 does): they cannot be
opened.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, TensorSpec
from polylect.models import TORCH_DTYPES, first_line, replace_linear, skeleton


class _StoredLinear(torch.nn.Linear):
    """A quantized linear layer as it is when transformers initializes it; no values."""

    def __init__(self, label: str, linear: torch.nn.Linear, specs: Sequence[TensorSpec]) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, bias=has_bias, device="meta")
        self.label = label
        del self.weight
        for spec in specs:
            name = spec.name.removeprefix(f"{label}.")
            if "." in name:  # a description of the weight, which is no attribute
                continue
            value = torch.empty(spec.shape, dtype=TORCH_DTYPES[spec.dtype], device="meta")
            self.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError as error:
            raise AttributeError(str(error), name=name, obj=self) from None


def check_initializes(
    checkpoint: Checkpoint,
    layers: Mapping[str, Sequence[TensorSpec]],
    patterns: Mapping[str, str],
) -> None:
    """Initialize the quantized model as transformers' loader does, on the meta device.

    Args:
        checkpoint: the full-precision one.
        layers: the tensors of each quantized linear layer, by its full name.
        patterns: of ``--layers``, for the hint.

    Raises:
        InputError: transformers could not open it; names the layers that have to stay as they are.
    """
    model = skeleton(checkpoint, "sdpa")
    _refuse_split_experts(checkpoint, model)
    originals: dict[str, torch.nn.Linear] = {}
    for name, specs in layers.items():
        linear = model.get_submodule(name)
        assert isinstance(linear, torch.nn.Linear)
        originals[name] = linear
        replace_linear(model, name, _StoredLinear(name, linear, specs))
    read: set[str] = set()
    while (label := _read_by_name(checkpoint, model)) is not None:
        alike = {name for name in originals if _role(name) == _role(label)}
        for name in alike:
            replace_linear(model, name, originals[name])
        read |= alike
    if read:
        kinds = _patterns(read, originals)
        shown = ", ".join(repr(kind.removeprefix("*.")) for kind in kinds)
        raise InputError(
            f"{checkpoint.path}: transformers could not open it quantized: a {type(model).__name__}"
            f" reads the weight of the linear layer{'s' if len(kinds) > 1 else ''} {shown} by name",
            leave_out(read, patterns, originals),
        )


def _refuse_split_experts(checkpoint: Checkpoint, model: torch.nn.Module) -> None:
    """Refuse experts in one tensor that a quantized checkpoint has to hold one by one (Llama 4)."""
    from transformers.quantizers import base

    split = getattr(base, "MODULES_TO_PATCH_FOR_QUANTIZATION", {})
    for name, module in model.named_modules():
        if type(module).__name__ in split:
            raise InputError(
                f"{checkpoint.path}: transformers could not open it quantized: it wants the experts"
                f" of {name!r} one by one, and they are stored in one tensor",
                "polylect cannot quantize this architecture",
            )


def leave_out(read: Collection[str], patterns: Mapping[str, str], linear: Iterable[str]) -> str:
    """The option that leaves linear layers as they are, beside the patterns that were given.

    Args:
        read: their names.
        patterns: scheme by pattern, as given.
        linear: names of all linear layers that would be quantized.
    """
    rest = [name for name in linear if name not in read]
    if not rest:
        return "polylect cannot quantize this architecture by this scheme: try w8a8 or llm-int8"
    none = dict.fromkeys(_patterns(read, [*read, *rest]), "none")
    kept = {
        pattern: scheme
        for pattern, scheme in patterns.items()
        if pattern not in none and (scheme == "none" or any(fnmatchcase(x, pattern) for x in rest))
    }
    words = " ".join(f"'{pattern}={scheme}'" for pattern, scheme in (none | kept).items())
    return f"--layers {words} leaves {'it as it is' if len(none) == 1 else 'them as they are'}"


def _read_by_name(checkpoint: Checkpoint, model: Any) -> str | None:
    """The first linear layer whose weight is missed when the model is initialized, if any.

    Raises:
        InputError: it cannot be initialized for another reason.
    """
    # As after loading: every tensor has its values, no module was initialized.
    for value in (*model.parameters(), *model.buffers()):
        setattr(value, "_is_hf_initialized", True)  # noqa: B010 - transformers' own mark
    for module in model.modules():
        module.__dict__.pop("_is_hf_initialized", None)
    try:
        model.initialize_weights()
    except AttributeError as error:
        if error.name == "weight" and isinstance(error.obj, _StoredLinear):
            return error.obj.label
        raise
    except (RuntimeError, TypeError, ValueError) as error:  # computes with codes as with a weight
        raise InputError(
            f"{checkpoint.path}: transformers could not open it quantized ({first_line(error)})",
            "polylect cannot quantize this architecture by this scheme: try w8",
        ) from None
    return None


def _role(name: str) -> str:
    """A name without the numbers of layers: equal for the same place in each."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _patterns(read: Collection[str], linear: Iterable[str]) -> list[str]:
    """The shortest patterns of names' ends that fit these layers and no others.

    >>> _patterns({"h.0.mlp.out"}, ["h.0.mlp.out", "h.0.attention.out", "h.0.mlp.in"])
    ['*.mlp.out']
    """
    others = [name for name in linear if name not in read]
    patterns: dict[str, None] = {}
    for role in sorted({_role(name) for name in read}):
        parts = role.split(".")
        ends = ["*." + ".".join(parts[-num:]) for num in range(1, len(parts))]
        fitting = (end for end in ends if not any(fnmatchcase(name, end) for name in others))
        patterns[next(fitting, role)] = None
    return [*patterns]
