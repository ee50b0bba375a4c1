"""Quantizing one decoder layer: calibration statistics, scales, codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from polylect.base import Ledger, release_memory
from polylect.models import every_expert
from polylect.quantization.config import QuantizeConfig, Scheme
from polylect.quantization.formats import Stored
from polylect.quantization.gptq import Rounded, gptq
from polylect.quantization.hessian import add_moments, whole
from polylect.quantization.rounding import scales_of
from polylect.quantization.scaling import Moments, awq_scale, fold, smooth_scale
from polylect.quantization.stream import Group, LayerStream

DAMPED = "damped more: moments that could not be inverted"
"""Ledger event: GPTQ raised its damping, by layer."""

UNREACHED = "rounded to nearest: no calibration text reached it"
"""Ledger event: no calibration text reached a linear layer of GPTQ or AWQ."""

FEW = "calibrated on few tokens: an expert that fewer reached than it has inputs"
"""Ledger event: the text that reached an expert does not determine its moments, by layer."""


@dataclass(frozen=True)
class Loss:
    """Squared error of a linear layer's outputs on the calibration text.

    Attributes:
        layer: full name of the layer.
        loss: error of the chosen codes; for AWQ, of all layers of the group together.
        nearest: error of round-to-nearest.
    """

    layer: str
    loss: float
    nearest: float


@dataclass
class LayerResult:
    """A quantized decoder layer.

    Attributes:
        stored: codes and scales by linear layer name, without the decoder layer's prefix.
        hidden: calibration inputs of the next layer, [rows, tokens, hidden]; None without
            calibration.
        losses: losses of the linear layers for which they were computed.
    """

    stored: dict[str, Stored]
    hidden: torch.Tensor | None
    losses: list[Loss] = field(default_factory=list)


class LayerQuantizer:
    """Quantizes a loaded decoder layer."""

    def __init__(
        self,
        stream: LayerStream,
        number: int,
        plan: Mapping[str, tuple[Scheme, int]],
        config: QuantizeConfig,
        dtype: torch.dtype,
        ledger: Ledger,
    ) -> None:
        """Wrap the layer.

        Args:
            stream: the layer stream, with layer ``number`` loaded.
            number: index of the layer.
            plan: scheme and group size by linear layer name, without the prefix; other layers stay
                unquantized.
            config: the configuration.
            dtype: storage type of scales.
            ledger: counts fallbacks.
        """
        self._stream, self._number, self._plan = stream, number, plan
        self._config, self._dtype, self._ledger = config, dtype, ledger
        self._layer = stream.layers[number]
        self._prefix = stream.prefix(number)
        self._stored: dict[str, Stored] = {}
        self._losses: list[Loss] = []

    @torch.no_grad()
    def run(self, hidden: torch.Tensor | None, *, last: bool = False) -> LayerResult:
        """Quantize the layer and compute the calibration inputs of the next one.

        AWQ and SmoothQuant calibrate on full-precision activations throughout; GPTQ on the outputs
        of the layers already quantized, so that it compensates their errors.

        Args:
            hidden: calibration inputs of the layer, [rows, tokens, hidden]; None if no scheme needs
                them.
            last: whether this is the last layer, whose outputs are not needed.
        """
        methods = {scheme.method for scheme, _ in self._plan.values()}
        after = None
        if hidden is not None:
            groups = self._stream.groups(self._number)
            if methods & {"awq", "smooth"}:
                after = self._scaled(hidden, groups, keep="gptq" not in methods)
            if "gptq" in methods:
                if self._config.passes == 1:
                    after = self._in_pass(hidden, groups, last=last)
                else:
                    after = self._two_passes(hidden, groups)
            elif after is None:
                after = self._advance(hidden)
        for name, (scheme, _) in self._plan.items():
            if name not in self._stored:
                if scheme.method == "gptq":
                    self._ledger.count(UNREACHED, 1, f"{self._prefix}{name}")
                self._store(name, None)
        return LayerResult(self._stored, after, self._losses)

    def _advance(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._stream.run(self._number, hidden, self._config.chunk_tokens)

    def _module(self, name: str) -> Any:
        return self._layer.get_submodule(name)

    def _store(self, name: str, codes: torch.Tensor | None) -> Stored:
        scheme, group = self._plan[name]
        weight = self._module(name).weight.data
        stored = Stored(scheme, weight, group or weight.shape[1], self._dtype, codes)
        self._stored[name] = stored
        return stored

    # Scaling --------------------------------------------------------------------------------------

    def _scaled(
        self, hidden: torch.Tensor, groups: list[Group], *, keep: bool
    ) -> torch.Tensor | None:
        """Fold the scales of all groups; the full-precision outputs of the layer if ``keep``."""
        wanted = [group for group in groups if self._method(group) in ("awq", "smooth")]
        moments = {group.names[0]: self._moments_for(group) for group in wanted}
        hooks = []
        for group in wanted:
            hooks.append(self._module(group.names[0]).register_forward_pre_hook(
                lambda _, x, name=group.names[0]: _observe(moments[name], x[0])
            ))  # fmt: skip
        try:
            after = self._advance(hidden)
        finally:
            for hook in hooks:
                hook.remove()

        def output() -> torch.Tensor:
            with every_expert(self._layer):
                return self._stream.run(self._number, hidden[:1])

        num_tokens = hidden.shape[0] * hidden.shape[1]

        earlier: list[str] = []
        for group in groups:
            if group.names[0] in moments:
                reached = moments[group.names[0]]
                self._note_few(group, reached.num_tokens, num_tokens)
                if reached.num_tokens:
                    self._scale(group, reached, earlier, output)
                else:
                    self._ledger.count(UNREACHED, 1, f"{self._prefix}{group.names[0]}")
            earlier += group.names
        return after if keep else None

    def _note_few(self, group: Group, num_reached: int, num_tokens: int) -> None:
        """Count a group that only some of the calibration text reached, and too little of it."""
        few = 0 < num_reached < min(num_tokens, self._module(group.names[0]).in_features)
        chosen = [name for name in group.names
                  if name in self._plan and self._plan[name][0].calibrated]  # fmt: skip
        if few and chosen:
            self._ledger.count(FEW, 1, f"{self._prefix}{chosen[0]}: {num_reached:,}")

    def _method(self, group: Group) -> str:
        """The method of a group if all members share it, else empty."""
        methods = [self._plan[name][0].method for name in group.names if name in self._plan]
        return methods[0] if len(methods) == len(group.names) and len(set(methods)) == 1 else ""

    def _moments_for(self, group: Group) -> Moments:
        num = self._module(group.names[0]).in_features
        products = torch.zeros(num, num) if self._method(group) == "awq" else None
        return Moments(torch.zeros(num), torch.zeros(num), 0, products)

    def _scale(self, group: Group, moments: Moments, earlier: list[str], output: Any) -> None:
        weight = torch.cat([self._module(name).weight.data for name in group.names])
        if self._method(group) == "smooth":
            if not group.norm:
                return  # SmoothQuant scales only what follows a norm
            scale = smooth_scale(moments.largest, weight, self._config.smoothquant_alpha)
            fold(self._layer, group, scale, (), output, self._ledger, self._prefix)
            return
        assert moments.products is not None, "AWQ's moments have products"
        whole(moments.products)
        size = self._plan[group.names[0]][1] or weight.shape[1]
        scale, exponent, loss, plain = awq_scale(weight, moments, size, self._dtype)
        folded = exponent == 0 or fold(
            self._layer, group, scale, earlier, output, self._ledger, self._prefix
        )
        name = f"{self._prefix}{group.names[0]}"
        self._losses.append(Loss(name, loss if folded else plain, plain))

    # GPTQ -----------------------------------------------------------------------------------------

    def _in_pass(self, hidden: torch.Tensor, groups: list[Group], *, last: bool) -> Any:
        """One pass through the layer: each group is quantized as soon as its inputs are known.

        Every part of the rows runs up to a group, waits there for the others, and continues once
        the group is quantized: activations between two groups are held for one part at a time.
        """
        from greenlet import getcurrent, greenlet

        num_tokens = hidden.shape[0] * hidden.shape[1]

        def arrive(number: int, inputs: torch.Tensor) -> None:
            getcurrent().parent.switch((number, inputs))

        hooks = [
            self._module(group.names[0]).register_forward_pre_hook(
                lambda _, x, number=number: arrive(number, x[0])
            )
            for number, group in enumerate(groups)
        ]
        tasks = [
            greenlet(lambda part=part: self._stream.run(self._number, part))
            for part in self._stream.parts(hidden, self._config.chunk_tokens)
        ]
        try:
            states: list[Any] = [task.switch() for task in tasks]
            for number, group in enumerate(groups):
                arrived = [i for i, task in enumerate(tasks) if task and states[i][0] == number]
                release_memory()
                inputs = [states[i][1] for i in arrived]
                num_reached = sum(x[..., 0].numel() for x in inputs)
                self._note_few(group, num_reached, num_tokens)
                if num_reached:
                    self._round(group, self._products(inputs))
                if last and number + 1 == len(groups):
                    return None
                for i in arrived:
                    states[i] = tasks[i].switch()
            release_memory()
            return torch.cat(states)
        finally:
            for hook in hooks:
                hook.remove()
            for task in tasks:
                task.throw()  # parts still waiting after the last group or an error

    def _two_passes(self, hidden: torch.Tensor, groups: list[Group]) -> torch.Tensor:
        """One pass for the moments of all groups, a second one through the quantized layer."""
        totals = [torch.zeros(num, num) for num in
                  (self._module(group.names[0]).in_features for group in groups)]  # fmt: skip
        reached = [0] * len(groups)

        def observe(number: int, inputs: torch.Tensor) -> None:
            rows = inputs.reshape(-1, inputs.shape[-1])
            reached[number] += len(rows)
            add_moments(totals[number], rows)

        hooks = []
        for number, group in enumerate(groups):
            hooks.append(self._module(group.names[0]).register_forward_pre_hook(
                lambda _, x, number=number: observe(number, x[0])
            ))  # fmt: skip
        try:
            self._advance(hidden)
        finally:
            for hook in hooks:
                hook.remove()
        for group, total, num_reached in zip(groups, totals, reached, strict=True):
            self._note_few(group, num_reached, hidden.shape[0] * hidden.shape[1])
            if num_reached:
                self._round(group, whole(total))
        return self._advance(hidden)

    def _products(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        num = inputs[0].shape[-1]
        total = torch.zeros(num, num)
        for x in inputs:
            add_moments(total, x.reshape(-1, num))
        return whole(total)

    def _round(self, group: Group, products: torch.Tensor) -> None:
        """Quantize the GPTQ members of a group and put the dequantized weights into the layer."""
        members = [name for name in group.names
               if name in self._plan and self._plan[name][0].method == "gptq"]  # fmt: skip
        by_kind: dict[tuple[int, int], list[str]] = {}
        for name in members:
            scheme, size = self._plan[name]
            by_kind.setdefault((scheme.num_bits, size), []).append(name)
        for (num_bits, size), names in by_kind.items():
            weight = _stacked([self._module(name).weight.data for name in names])
            scale = scales_of(weight, num_bits, size or weight.shape[1], self._dtype)
            rounded = gptq(weight, scale, products, num_bits, self._config.damping)
            self._ledger.count(DAMPED, rounded.times_damped, f"{self._prefix}{names[0]}")
            self._keep(names, rounded)
        for name in group.names:
            if name in self._plan and name not in self._stored:
                self._store(name, None)
            if name in self._stored:
                self._module(name).weight.data = self._stored[name].weight()

    def _keep(self, names: list[str], rounded: Rounded) -> None:
        start = 0
        for name in names:
            end = start + self._module(name).out_features
            self._store(name, rounded.codes[start:end])
            loss = float(rounded.loss[start:end].double().sum())
            plain = float(rounded.nearest_loss[start:end].double().sum())
            self._losses.append(Loss(f"{self._prefix}{name}", loss, plain))
            start = end


def _stacked(weights: list[torch.Tensor]) -> torch.Tensor:
    return weights[0] if len(weights) == 1 else torch.cat(weights)


def _observe(moments: Moments, x: torch.Tensor) -> None:
    flat = x.reshape(-1, x.shape[-1])
    magnitude = flat.abs()
    torch.maximum(moments.largest, magnitude.amax(dim=0), out=moments.largest)
    moments.total += magnitude.sum(dim=0)
    moments.num_tokens += len(flat)
    if moments.products is not None:
        add_moments(moments.products, flat)
