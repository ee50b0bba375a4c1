"""Which tensor of a checkpoint is which weight of a module: transformers' own conversion."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class WeightNames:
    """Names in a checkpoint of a model's weights.

    Attributes:
        stored: the tensor that holds a weight, by the weight's name in the module. A weight that is
            tied to another and not stored is not in it.
        built: the tensors that transformers joins or splits into a weight, by the weight's name
            (experts that are stored one by one).
    """

    stored: Mapping[str, str] = field(repr=False)
    built: Mapping[str, tuple[str, ...]] = field(repr=False)

    def absent(self, model: "PreTrainedModel") -> list[str]:
        """Weights and stored buffers that no tensor holds, neither itself nor one tied to it."""
        have = {*self.stored, *self.built}
        ties = model.all_tied_weights_keys
        for _ in ties:
            have |= {name for pair in ties.items() if have & {*pair} for name in pair}
        return sorted({*model.state_dict()} - have)

    def tied_source(self, model: "PreTrainedModel", name: str) -> str:
        """The tensor that holds a weight or, where it is not stored, one that is tied to it."""
        ties = model.all_tied_weights_keys
        root = ties.get(name, name)
        group = [name, root, *(target for target, source in ties.items() if source == root)]
        return next((self.stored[other] for other in group if other in self.stored), name)


def module_names(model: "PreTrainedModel") -> Callable[[str], str]:
    """A function from a tensor's name in a checkpoint to the weight's name in the model.

    It gives an empty name for a tensor that transformers joins with others or splits, and the
    tensor's own for one that the architecture has no place for.
    """
    convert = _converter(model)

    def module_name(tensor: str) -> str:
        name, joined = convert(tensor)
        return "" if joined else name

    return module_name


def weight_names(model: "PreTrainedModel", tensors: Iterable[str]) -> WeightNames:
    """Where the weights of a model are in a checkpoint with these tensors.

    Tensors that the architecture has no place for are in neither mapping.

    Args:
        model: of the checkpoint's architecture; its weights may be on the meta device.
        tensors: names of the checkpoint's tensors.
    """
    state, convert = model.state_dict(), _converter(model)
    stored: dict[str, str] = {}
    built: dict[str, tuple[str, ...]] = {}
    for tensor in tensors:
        name, joined = convert(tensor)
        if name in state and joined:
            built[name] = (*built.get(name, ()), tensor)
        elif name in state:
            stored[name] = tensor
    return WeightNames(stored, built)


def _converter(model: "PreTrainedModel") -> Callable[[str], tuple[str, bool]]:
    """A function from a tensor's name to the weight's, and whether the values are converted."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        rename_source_key,
    )

    transforms = get_model_conversion_mapping(model)
    renamings = [entry for entry in transforms if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in transforms if isinstance(entry, WeightConverter)]
    state, prefix = model.state_dict(), model.base_model_prefix

    def convert(tensor: str) -> tuple[str, bool]:
        name, pattern = rename_source_key(tensor, renamings, converters, prefix, state)
        if name not in state and tensor in state:
            return tensor, False
        return name, pattern is not None

    return convert
