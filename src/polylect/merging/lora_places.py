"""Where the modules that an adapter names lie in its base: names on disk, ties, orientation."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from polylect.base import InputError, did_you_mean, import_optional
from polylect.checkpoints import FLOAT_DTYPES, Checkpoint, TensorInfo
from polylect.models import with_defaults

# The architectures of transformers whose layers of these names are Conv1D, stored transposed.
_CONV1D_KINDS = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"}
_CONV1D_NAMES = {"c_attn", "c_proj", "c_fc", "q_attn"}


class Places:
    """Finds the tensors of a base by the names that modules have in transformers."""

    def __init__(self, base: Checkpoint) -> None:
        """Reads no tensor.

        Args:
            base: the checkpoint that an adapter was trained on.
        """
        self._base = base

    def find(self, name: str) -> str:
        """The tensor in the base that holds a weight; empty without one, as for a tied head."""
        if name in self._base.tensors:
            return name
        return self._stored.get(name, "")

    def tensor(self, name: str, path: object, what: str) -> TensorInfo:
        """The tensor that holds a weight.

        Args:
            name: the weight's name in the module.
            path: the adapter, for the message.
            what: what is said to have no place.

        Raises:
            InputError: there is none, or it is not of floats.
        """
        stored = self.find(name)
        if not stored:
            hint = (
                did_you_mean(name, list(self._base.tensors)) or "is this the base of the adapter?"
            )
            raise InputError(
                f"{path}: {what} has no place in {self._base.path}: no tensor {name!r}", hint
            )
        info = self._base.tensors[stored]
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(
                f"{self._base.path}: tensor {stored!r} is {info.dtype}: the base is quantized",
                "merge the adapter into the model in full precision",
            )
        return info

    def tied(self, name: str) -> tuple[str, ...]:
        """The weights that are tied to one, itself the last; empty where none is."""
        root = self._ties.get(name, name)
        group = (*(target for target, source in self._ties.items() if source == root), root)
        return group if len(group) > 1 else ()

    def is_transposed(self, module: str, *, stated: bool, shape: tuple[int, ...]) -> bool:
        """Whether a layer stores its weight as [inputs, outputs].

        Args:
            module: its name.
            stated: ``fan_in_fan_out`` of the adapter: of several kinds of layers peft saves that
                of the last one.
            shape: outputs and inputs by the adapter, if they decide it.
        """
        if self._base.config.get("model_type") in _CONV1D_KINDS:
            return module.rsplit(".", 1)[-1] in _CONV1D_NAMES
        info = self._base.tensors.get(self.find(f"{module}.weight"))
        if info is not None and shape[0] != shape[1] and info.shape in {shape, shape[::-1]}:
            return info.shape != shape
        return stated

    @cached_property
    def _model(self) -> Any:
        """The base's model without weights; None where transformers cannot build it."""
        import_optional(
            "transformers", f"{self._base.path}: an adapter of its embeddings", "models"
        )
        from polylect.models import skeleton

        try:
            return skeleton(self._base, "eager")
        except InputError:
            return None

    @cached_property
    def _stored(self) -> Mapping[str, str]:
        """Names of tensors in the base by names in the module, where they are not the same."""
        from polylect.models import weight_names

        model = self._model
        return {} if model is None else weight_names(model, self._base.tensors).stored

    @cached_property
    def _ties(self) -> Mapping[str, str]:
        """The weights that are tied to others, by their names in the module."""
        settings = with_defaults(self._base.config) or self._base.config
        parts = (settings, settings.get("text_config"))
        if not any(isinstance(p, dict) and p.get("tie_word_embeddings") for p in parts):
            return {}
        return getattr(self._model, "all_tied_weights_keys", {})
