"""Streaming a checkpoint's decoder layers: at most one of them in memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import fill, rows_of, skeleton

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a layer besides hidden states."""

_SAMPLE = 8  # tokens used to trace how the modules of a layer are connected


class _Reached(Exception):
    """The last layer was reached; the rest of the forward pass is not needed."""


@dataclass
class Group:
    """Linear layers with the same input.

    Attributes:
        names: names within the decoder layer, in execution order.
        norm: name of the norm whose output they read; empty if none.
    """

    names: list[str] = field(default_factory=list)
    norm: str = ""


class LayerStream:
    """The decoder layers of a checkpoint, loaded, run and dropped one at a time."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build the modules without weights.

        Raises:
            InputError: transformers does not know the architecture, it has no stack of decoder
                layers, or the checkpoint's tensor names do not match the modules.
        """
        self.checkpoint = checkpoint
        self.model = skeleton(checkpoint, "sdpa")
        body = self.model.base_model
        stacks = [
            (name, module)
            for name, module in body.named_modules()
            if name.endswith("layers") and isinstance(module, torch.nn.ModuleList)
        ]
        if not stacks:
            raise InputError(
                f"{checkpoint.path}: {type(self.model).__name__} has no stack of decoder layers",
                "polylect cannot quantize this architecture",
            )
        body_name = f"{self.model.base_model_prefix}." if body is not self.model else ""
        self._body, self._prefix = body, f"{body_name}{stacks[0][0]}."
        self.layers = stacks[0][1]
        if not any(name.startswith(self._prefix) for name in checkpoint.tensors):
            raise InputError(
                f"{checkpoint.path}: no tensor is named {self._prefix}0…",
                "load and save it with transformers, and quantize the result",
            )
        self._calls: list[Call] = []
        self._sample = torch.empty(0), list[Call]()

    def prefix(self, number: int) -> str:
        """Prefix of the names of a layer's tensors."""
        return f"{self._prefix}{number}."

    def linear_names(self, number: int) -> list[str]:
        """Names of the linear layers of a decoder layer, without its prefix."""
        return [name for name, module in self.layers[number].named_modules()
                if type(module) is torch.nn.Linear]  # fmt: skip

    def own_tensors(self, number: int) -> list[str]:
        """Names of a decoder layer's tensors in the checkpoint, in order."""
        prefix = self.prefix(number)
        return [name for name in self.checkpoint.tensors if name.startswith(prefix)]

    @contextmanager
    def loaded(self, number: int) -> Iterator[Any]:
        """The layer with float32 weights; they are dropped afterwards.

        Raises:
            InputError: a tensor is missing, or contains NaN or infinity.
        """
        layer = self.layers[number]
        prefix = self.prefix(number)
        fill(layer, prefix, self.checkpoint, torch.float32)
        for name, parameter in layer.named_parameters():
            check_finite(parameter, f"{self.checkpoint.path}: tensor {prefix + name!r}")
        try:
            yield layer
        finally:
            self.layers[number] = self.layers[number].to("meta")

    @torch.no_grad()
    def first_hidden(self, ids: np.ndarray) -> torch.Tensor:
        """Inputs of the first layer, float32 [rows, tokens, hidden].

        Only the embeddings of the given tokens are read from disk.

        Args:
            ids: int64 [rows, tokens].
        """
        table: Any = self.model.get_input_embeddings()
        names = [name for name, module in self.model.named_modules() if module is table]
        used, place = np.unique(ids, return_inverse=True)
        kept = table._parameters["weight"]
        weight = rows_of(self.checkpoint, f"{names[0]}.weight", used).float()
        check_finite(weight, f"{self.checkpoint.path}: tensor {names[0]}.weight")
        padding, table.padding_idx = table.padding_idx, None
        table._parameters["weight"] = torch.nn.Parameter(weight, requires_grad=False)
        rows = torch.from_numpy(place.reshape(ids.shape))
        try:
            self._sample = self._through(rows[:1, :_SAMPLE])
            states = []
            for row in rows:
                hidden, self._calls = self._through(row[None])
                states.append(hidden)
        finally:
            table._parameters["weight"], table.padding_idx = kept, padding
        return torch.cat(states)

    def _through(self, ids: torch.Tensor) -> tuple[torch.Tensor, list[Call]]:
        """Inputs of the first layer, and the other arguments of every layer."""
        first: list[torch.Tensor] = []
        calls: list[Call] = []

        def watch(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            first.append(hidden)
            calls.append((args, kwargs))
            if len(calls) == len(self.layers):
                raise _Reached
            return hidden

        for layer in self.layers:
            layer.forward = watch
        try:
            with suppress(_Reached):
                self._body(input_ids=ids, use_cache=False)
        finally:
            for layer in self.layers:
                del layer.forward
        assert calls, "the body did not run its layers"
        return first[0], calls

    @torch.no_grad()
    def run(self, number: int, hidden: torch.Tensor, chunk_tokens: int = 0) -> torch.Tensor:
        """Outputs of a loaded layer, [rows, tokens, hidden].

        Args:
            number: index of the layer.
            hidden: its inputs, [rows, tokens, hidden].
            chunk_tokens: tokens per forward pass (at least one row); 0 is all.
        """
        outputs = [self._given(number, part, self._calls)
                 for part in self.parts(hidden, chunk_tokens)]  # fmt: skip
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def parts(self, hidden: torch.Tensor, chunk_tokens: int) -> list[torch.Tensor]:
        """Hidden states in parts of at most ``chunk_tokens`` tokens; 0 is all."""
        rows = max(1, chunk_tokens // hidden.shape[1]) if chunk_tokens else len(hidden)
        return list(hidden.split(rows))

    def _given(self, number: int, hidden: torch.Tensor, calls: list[Call]) -> torch.Tensor:
        args, kwargs = calls[number]
        output = self.layers[number](hidden, *args, **kwargs)
        return output[0] if isinstance(output, tuple) else output

    @torch.no_grad()
    def groups(self, number: int) -> list[Group]:
        """Linear layers of a loaded layer grouped by shared input, in execution order.

        Traced with a few tokens of ``first_hidden``.
        """
        layer = self.layers[number]
        seen: list[tuple[str, torch.Tensor]] = []
        norms: dict[tuple[int, tuple[int, ...]], str] = {}
        kept: list[torch.Tensor] = []  # keeps addresses from being reused
        hooks = []
        for name, module in layer.named_modules():
            if type(module) is torch.nn.Linear:
                hooks.append(module.register_forward_pre_hook(
                    lambda _, x, name=name: seen.append((name, x[0]))
                ))  # fmt: skip
            elif getattr(module, "weight", None) is not None and module.weight.ndim == 1:

                def note(_: Any, __: Any, y: torch.Tensor, name: str = name) -> None:
                    kept.append(y)
                    norms[y.data_ptr(), tuple(y.shape)] = name

                hooks.append(module.register_forward_hook(note))
        try:
            self._given(number, *self._sample)
        finally:
            for hook in hooks:
                hook.remove()
        groups: dict[tuple[int, tuple[int, ...]], Group] = {}
        for name, x in seen:
            key = (x.data_ptr(), tuple(x.shape))
            groups.setdefault(key, Group(norm=norms.get(key, ""))).names.append(name)
        return list(groups.values())

    @torch.no_grad()
    def finish(self) -> Any:
        """The model with all weights but the decoder layers, for the final norm and the head."""
        for name, module in self.model.named_modules():
            full = f"{name}." if name else ""
            if full.startswith(self._prefix) or not (module._parameters or module._buffers):
                continue
            names = {
                f"{full}{key}" for key, value in module._parameters.items() if value is not None
            }
            if names <= set(self.checkpoint.tensors):
                fill(module, full, self.checkpoint, torch.float32)
        self.model.tie_weights()
        return self.model

    def final_norm(self) -> Any:
        """The norm between the last layer and the head, or None."""
        inside = self._prefix.removeprefix(f"{self.model.base_model_prefix}.").rpartition(
            "layers."
        )[0]
        parent = self._body.get_submodule(inside.rstrip(".")) if inside else self._body
        for name in ("norm", "final_layernorm", "ln_f", "final_layer_norm"):
            if hasattr(parent, name):
                return getattr(parent, name)
        return None


def check_finite(value: torch.Tensor, what: str) -> None:
    """Check that all elements are finite.

    Raises:
        InputError: an element is NaN or infinite.
    """
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"{what} contains NaN or infinity", "fetch or make the checkpoint again")
