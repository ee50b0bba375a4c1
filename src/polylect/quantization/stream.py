"""Streaming a checkpoint's decoder layers: at most one of them in memory."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import (
    Head,
    LowBitLinear,
    body_of,
    check_language_model,
    every_expert,
    fill,
    fill_own,
    head_of,
    rows_of,
    skeleton,
    weight_names,
)
from polylect.quantization.call_values import equal_tensors, tensor_shapes
from polylect.quantization.initialization import leave_out

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
            InputError: it is no language model or lacks a weight, it has no stack of decoder
                layers, its head is no linear layer, or the checkpoint's tensors are not the
                weights of its modules.
        """
        self.checkpoint = checkpoint
        check_language_model(checkpoint)
        self.model = skeleton(checkpoint, "sdpa")
        self._names = weight_names(self.model, checkpoint.tensors)
        self._module_of = {tensor: name for name, tensor in self._names.stored.items()}
        kind, num_layers = type(self.model).__name__, _num_layers(self.model)
        stacks = [
            (name, module)
            for name, module in self.model.named_modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) == num_layers
        ]
        if not stacks:
            raise InputError(
                f"{checkpoint.path}: {kind} has no stack of decoder layers",
                "polylect cannot quantize this architecture",
            )
        self._prefix, self.layers = f"{stacks[0][0]}.", stacks[0][1]
        head_of(self.model)
        self._refuse_other_names(kind)
        self._calls: list[Call] = []
        self._sample = torch.empty(0), list[Call]()
        self._num_outputs = [0] * num_layers
        self._filled: set[int] = set()
        self._row_by_row = True

    def _refuse_other_names(self, kind: str) -> None:
        """Refuse a checkpoint whose tensors are not the weights of the modules."""
        path, names = self.checkpoint.path, self._names
        if names.built:
            name, parts = next(iter(sorted(names.built.items())))
            raise InputError(
                f"{path}: {kind} joins {name!r} from {len(parts)} tensors (first: {parts[0]})",
                "polylect cannot quantize experts that are stored one by one",
            )
        for number in range(len(self.layers)):
            for name in self.linear_names(number):
                weight = f"{self.prefix(number)}{name}.weight"
                if names.stored.get(weight) != weight:
                    raise InputError(
                        f"{path}: {weight!r} of {kind} is stored as {names.stored.get(weight)!r}",
                        "polylect cannot quantize weights that transformers renames",
                    )

    def prefix(self, number: int) -> str:
        """Prefix of the names of a layer's weights in the model."""
        return f"{self._prefix}{number}."

    def module_name(self, tensor: str) -> str:
        """The name in the model of a tensor's weight; the tensor's own where there is none."""
        return self._module_of.get(tensor, tensor)

    def outside_linear(self) -> list[str]:
        """Names of the linear layers that are never quantized, for whoever reads the result.

        Those outside the decoder layers (the head, projections), and inside those of a class of
        their own (routers).
        """
        return [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, torch.nn.Linear)
            and (type(module) is not torch.nn.Linear or not name.startswith(self._prefix))
        ]

    def linear_names(self, number: int) -> list[str]:
        """Names of the linear layers of a decoder layer, without its prefix."""
        return [name for name, module in self.layers[number].named_modules()
                if type(module) is torch.nn.Linear]  # fmt: skip

    def own_tensors(self, number: int) -> list[str]:
        """Names of a decoder layer's tensors in the checkpoint, in order."""
        prefix = self.prefix(number)
        return [name for name in self.checkpoint.tensors
                if self.module_name(name).startswith(prefix)]  # fmt: skip

    @contextmanager
    def loaded(self, number: int) -> Iterator[Any]:
        """The layer with float32 weights; they are dropped afterwards.

        Raises:
            InputError: a tensor is missing, or contains NaN or infinity.
        """
        layer = self.layers[number]
        prefix = self.prefix(number)
        fill(layer, prefix, self.checkpoint, torch.float32, self._names.stored)
        for name, parameter in layer.named_parameters():
            check_finite(parameter, f"{self.checkpoint.path}: tensor {prefix + name!r}")
        try:
            yield layer
        finally:
            self.layers[number] = self.layers[number].to("meta")

    @torch.no_grad()
    def first_hidden(self, ids: np.ndarray) -> torch.Tensor:
        """Inputs of the first layer, float32 [rows, tokens, hidden].

        Of the embeddings only the rows of the given tokens are read from disk.

        Args:
            ids: int64 [rows, tokens].

        Raises:
            InputError: the layers do not run one after the other on hidden states alone.
        """
        table: Any = self.model.get_input_embeddings()
        name = next(name for name, module in self.model.named_modules() if module is table)
        self._fill_outside({id(table), id(self.model.get_output_embeddings())})
        used, place = np.unique(ids, return_inverse=True)
        kept = table._parameters["weight"]
        tensor = self._names.tied_source(self.model, f"{name}.weight")
        weight = rows_of(self.checkpoint, tensor, used).float()
        check_finite(weight, f"{self.checkpoint.path}: tensor {tensor}")
        padding, table.padding_idx = table.padding_idx, None
        table._parameters["weight"] = torch.nn.Parameter(weight, requires_grad=False)
        rows = torch.from_numpy(place.reshape(ids.shape))
        try:
            self._sample = self._through(rows[:1, :_SAMPLE])
            # Other tokens: what layers are given besides hidden states must not depend on them.
            _, self._calls = self._through(rows[:1].flip(1))
            _, of_two = self._through(rows[:1].repeat(2, 1))
            self._row_by_row = tensor_shapes(of_two) != tensor_shapes(self._calls)
            states = []
            for row in rows:
                hidden, calls = self._through(row[None])
                if not equal_tensors(calls, self._calls):
                    raise self.not_layer_by_layer("reads the tokens themselves in its layers")
                states.append(hidden)
        finally:
            table._parameters["weight"], table.padding_idx = kept, padding
        return torch.cat(states)

    def not_layer_by_layer(self, reason: str) -> InputError:
        """The refusal of an architecture that does not run as this class runs it."""
        return InputError(
            f"{self.checkpoint.path}: {type(self.model).__name__} {reason}",
            "polylect cannot quantize it layer by layer; leave out --calibration for a scheme that"
            " needs none (w8, w4, nf4)",
        )

    def _fill_outside(self, but: set[int]) -> None:
        """Load the modules outside the decoder layers that were not loaded yet, but for some."""
        for name, module in self.model.named_modules():
            full = f"{name}." if name else ""
            if id(module) in but | self._filled or full.startswith(self._prefix):
                continue
            # Also what is on no meta device: a norm is built with ones.
            fill_own(module, full, self.checkpoint, torch.float32, self._names.stored)
            self._filled.add(id(module))

    @contextmanager
    def _replaced(self, forward: Any) -> Iterator[None]:
        """Every layer's forward pass replaced by ``forward(number, …)``."""
        for number, layer in enumerate(self.layers):
            layer.forward = partial(forward, number)
        try:
            yield
        finally:
            for layer in self.layers:
                del layer.forward

    @contextmanager
    def _running(self) -> Iterator[None]:
        """A context in which a body that does not take its layers' replacements is refused."""
        try:
            yield
        except InputError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise self.not_layer_by_layer(
                f"wants more of its layers than hidden states ({reason})"
            ) from None

    def refuse_read_weight(
        self, error: BaseException | None, patterns: Mapping[str, str], linear: Iterable[str]
    ) -> None:
        """Say which linear layer a model reads the weight of, without calling it (Mamba).

        Args:
            error: what the forward pass of a model with few-bit layers raised.
            patterns: of ``--layers``, for the hint.
            linear: names of the linear layers that are quantized.

        Raises:
            InputError: if that is what was raised.
        """
        owner = getattr(error, "obj", None)
        if getattr(error, "name", "") != "weight" or not isinstance(owner, LowBitLinear):
            return
        ending = owner.label.rpartition(".")[2]
        names = [*linear]
        alike = {name for name in names if name.rpartition(".")[2] == ending}
        raise InputError(
            f"{self.checkpoint.path}: {type(self.model).__name__} reads the weight of the linear"
            f" layer {ending!r} instead of calling it",
            leave_out(alike, patterns, names),
        ) from None

    def _through(self, ids: torch.Tensor) -> tuple[torch.Tensor, list[Call]]:
        """Inputs of the first layer, and the other arguments of every layer."""
        first: list[torch.Tensor] = []
        calls: list[Call] = []

        def watch(number: int, *args: Any, **kwargs: Any) -> Any:
            hidden = args[0] if args else kwargs.pop("hidden_states")
            if number != len(calls):
                raise self.not_layer_by_layer("does not run its layers in order, each once")
            first.append(hidden)
            calls.append((args[1:], kwargs))
            if len(calls) == len(self.layers):
                raise _Reached
            return hidden

        with self._replaced(watch), self._running(), suppress(_Reached):
            self.model(input_ids=ids, use_cache=False)
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
        """Hidden states in parts of at most ``chunk_tokens`` tokens; 0 is all.

        In parts of one row where layers are given something for each row (a bias of positions).
        """
        rows = max(1, chunk_tokens // hidden.shape[1]) if chunk_tokens else len(hidden)
        return list(hidden.split(1 if self._row_by_row else rows))

    def _given(self, number: int, hidden: torch.Tensor, calls: list[Call]) -> torch.Tensor:
        args, kwargs = calls[number]
        output = self.layers[number](hidden, *args, **kwargs)
        self._num_outputs[number] = len(output) if isinstance(output, tuple) else 0
        return output[0] if isinstance(output, tuple) else output

    @torch.no_grad()
    def groups(self, number: int) -> list[Group]:
        """Linear layers of a loaded layer grouped by shared input, in execution order.

        Traced with a few tokens of ``first_hidden``, which all experts see.
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
            with every_expert(layer):
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
    def finish(self) -> Head:
        """The model's head, after loading all weights but those of the decoder layers."""
        self._fill_outside(set())
        left = {name for name, value in self.model.named_parameters() if value.is_meta}
        self.model.tie_weights(missing_keys=left, recompute_mapping=False)
        return head_of(self.model)

    @torch.no_grad()
    def after_layers(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the model makes of the last layer's outputs, before the head; after ``finish``.

        The body runs with layers that hand these outputs on: final norm, projections and whatever
        else it calls after its layers.

        Args:
            hidden: outputs of the last layer, [rows, tokens, hidden].
        """
        return torch.cat([self._ended(row, head=False) for row in hidden.split(1)])

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The model's own logits of the last layer's outputs, after ``finish``.

        Args:
            hidden: outputs of the last layer, [1, tokens, hidden].
        """
        return self._ended(hidden, head=True)

    def _ended(self, hidden: torch.Tensor, *, head: bool) -> torch.Tensor:
        def hand_on(number: int, *args: Any, **kwargs: Any) -> Any:
            num = self._num_outputs[number]
            return (hidden, *[None] * (num - 1)) if num else hidden

        model: Any = self.model if head else body_of(self.model)
        ids = torch.zeros(hidden.shape[:2], dtype=torch.long)
        with self._replaced(hand_on), self._running():
            output = model(input_ids=ids, use_cache=False)
        return output.logits if head else output.last_hidden_state


def _num_layers(model: Any) -> int:
    return int(getattr(model.config.get_text_config(), "num_hidden_layers", 0))


def check_finite(value: torch.Tensor, what: str) -> None:
    """Check that all elements are finite.

    Raises:
        InputError: an element is NaN or infinite.
    """
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"{what} contains NaN or infinity", "fetch or make the checkpoint again")
