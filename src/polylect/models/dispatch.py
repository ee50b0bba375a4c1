"""Routed experts: every token through its own, without a loop over tokens.

Rows are sorted by expert, each expert multiplies its rows, and the results are summed by token. One
backward pass serves all experts and writes the gradient of each once, where indexing stacked
weights (``weight[e]``) would fill one gradient of the size of all experts per expert.

There is one way for all shapes, so that nothing is chosen by a clock and equal runs give equal
bytes. On CPU it was the fastest of those tried at most sizes (benchmarks/logs/experts.md). The rows
of an expert are multiplied together, so that a token's last bits may depend on how many others
chose its expert.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from polylect.models.expert_gates import Gate, gate_of

PLAIN_MLPS = frozenset(
    f"transformers.models.{family}.modeling_{family}.{name}"
    for family, name in (
        ("llama", "LlamaMLP"), ("mistral", "MistralMLP"), ("qwen2", "Qwen2MLP"),
        ("qwen3", "Qwen3MLP"), ("gemma", "GemmaMLP"), ("gemma2", "Gemma2MLP"),
        ("gemma3", "Gemma3MLP"), ("cohere", "CohereMLP"), ("cohere2", "Cohere2MLP"),
        ("mixtral", "MixtralMLP"), ("qwen2_moe", "Qwen2MoeMLP"), ("olmo2", "Olmo2MLP"),
    )
)  # fmt: skip
"""Classes that compute ``down(act(gate(x)) · up(x))`` and nothing else."""

_GROUP = 1 << 19
"""Most values of first products that are passed through a gate at once, if not one expert's."""

_LINEARS = ("gate_proj", "up_proj", "down_proj")


def routed(
    x: torch.Tensor,
    index: torch.Tensor,
    weight: torch.Tensor,
    experts: Iterable[torch.nn.Module],
) -> torch.Tensor:
    """Σ_k weight[t, k] · experts[index[t, k]](x[t]), [T, h] in the type of x.

    Experts of plain linear layers are computed together. Any other kind (adapters, few-bit layers,
    hooks, sharded ones) is called as a module on its own rows. Where gradients are taken, an expert
    that no token reaches gets zeros, as it would as a part of stacked weights: an optimizer treats
    it alike whether its tokens came in this process, in another, or in another part of the batch.

    Args:
        x: [T, h].
        index: [T, k] int64, which experts; n or above is none.
        weight: [T, k], their weights.
        experts: n modules of gate_proj, up_proj, down_proj and act_fn, all of one shape.
    """
    experts = list(experts)
    order, counts = sort_by_expert(index, len(experts))
    trained = torch.is_grad_enabled()
    called = [e for e, count in enumerate(counts) if count or trained]
    if not _hooked_everywhere() and all(_is_plain(experts[e]) for e in called) and called:
        first: Any = experts[called[0]]
        chosen: list[Any] = [experts[e] for e in called]
        tensors = [getattr(expert, name).weight for name in _LINEARS for expert in chosen]
        tensors += [getattr(expert, name).bias for name in _LINEARS for expert in chosen]
        form = Form("separate", len(called))
        few = [counts[e] for e in called]
        return computed(x, weight, order, few, gate_of(first.act_fn), form, tensors)
    return _by_module(x, weight, order, counts, experts)


def sort_by_expert(index: torch.Tensor, num_experts: int) -> tuple[torch.Tensor, list[int]]:
    """Flat positions of ``index`` sorted by expert (ties in order), and the rows of each expert.

    Positions whose expert is ``num_experts`` or above come last and are not counted.
    """
    flat = index.reshape(-1)
    order = flat.argsort(stable=True)
    counts = torch.bincount(flat, minlength=num_experts)[:num_experts]
    return order, counts.tolist()


@dataclass(frozen=True)
class Form:
    """How the weights of experts lie in a list of tensors.

    Attributes:
        kind: "separate": n of gate [f, h], n of up [f, h], n of down [h, f], then their biases;
            "stacked": [n, f or 2f, h], [n, h, f], then their biases [n, …]; "transposed": stacked
            with the last two dimensions swapped. A bias may be None.
        num_experts: n.
    """

    kind: str
    num_experts: int

    def parts(self, tensors: Sequence[torch.Tensor | None]) -> list["_Expert"]:
        """By expert: its first matrices with their biases, then its last."""
        n = self.num_experts
        if self.kind == "separate":
            gate, up, down, gate_bias, up_bias, down_bias = (
                tensors[i * n : (i + 1) * n] for i in range(6)
            )
            return [
                _Expert(((gate[e], gate_bias[e]), (up[e], up_bias[e])), (down[e], down_bias[e]))
                for e in range(n)
            ]
        up, down, up_bias, down_bias = (
            [None] * n if stack is None else stack.unbind(0) for stack in tensors
        )
        if self.kind == "transposed":
            up, down = (
                [None if part is None else part.t() for part in parts] for parts in (up, down)
            )
        return [_Expert(((up[e], up_bias[e]),), (down[e], down_bias[e])) for e in range(n)]


@dataclass(frozen=True)
class _Expert:
    first: tuple[tuple[Any, Any], ...]
    last: tuple[Any, Any]


def computed(
    x: torch.Tensor,
    weight: torch.Tensor,
    order: torch.Tensor,
    counts: list[int],
    gate: Gate,
    form: Form,
    tensors: Sequence[torch.Tensor | None],
) -> torch.Tensor:
    """The sum of ``routed``, [T, h], for rows that are sorted.

    Args:
        x: [T, h].
        weight: [T, k].
        order: int64 [T·k]; see ``sort_by_expert``.
        counts: rows of each expert.
        gate: what stands between the first matrix and the last.
        form: how the weights lie in ``tensors``.
        tensors: the weights; all of the type of x unless under autocast.
    """
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        return _Routed.apply(x, weight, order, counts, gate, form, *tensors)
    dtype = torch.get_autocast_dtype(kind)
    cast = [None if tensor is None else tensor.to(dtype) for tensor in tensors]
    with torch.autocast(kind, enabled=False):
        return _Routed.apply(x.to(dtype), weight, order, counts, gate, form, *cast).to(x.dtype)


class _Routed(torch.autograd.Function):
    """All experts in one node of the graph; saves x and the first products [T·k, 2f]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        order: torch.Tensor,
        counts: list[int],
        gate: Gate,
        form: Form,
        *tensors: torch.Tensor | None,
    ) -> torch.Tensor:
        experts = form.parts(tensors)
        needs_grad = any(ctx.needs_input_grad)
        token = order // weight.shape[1]
        width = sum(first.shape[0] for first, _ in experts[0].first)
        used = sum(counts)
        results = x.new_empty((len(order), x.shape[1]))
        results[used:] = 0
        most = max((here.stop - here.start for _, here in _groups(counts, width)), default=0)
        held = x.new_empty((used if needs_grad else most, width))
        for group, here in _groups(counts, width):
            sizes = [counts[e] for e in group]
            hidden = held[here] if needs_grad else held[: sum(sizes)]
            rows = x.index_select(0, token[here]).split(sizes)
            parts = hidden.split(sizes)
            for e, taken, part in zip(group, rows, parts, strict=True):
                column = 0
                for matrix, bias in experts[e].first:
                    end = column + matrix.shape[0]
                    _linear(taken, matrix, bias, part[:, column:end])
                    column = end
            values, sums = gate.value(hidden).split(sizes), results[here].split(sizes)
            for e, value, out in zip(group, values, sums, strict=True):
                _linear(value, *experts[e].last, out)
        if needs_grad:
            ctx.save_for_backward(x, weight, order, held, *tensors)
            ctx.counts, ctx.gate, ctx.form = counts, gate, form
        return _sum_by_token(results, order, weight, weight.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:  # pyrefly: ignore[bad-override]
        x, weight, order, held, *tensors = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        needed = ctx.needs_input_grad[6:]
        grads = [
            torch.empty_like(t) if need else None for t, need in zip(tensors, needed, strict=True)
        ]
        experts, gradients = ctx.form.parts(tensors), ctx.form.parts(grads)
        inner = needs_x or any(
            tensor is not None for part in gradients for pair in part.first for tensor in pair
        )
        token = order // weight.shape[1]
        by_row = weight.reshape(-1)[order]
        grad_weight = torch.zeros_like(by_row) if needs_weight else None
        grad_rows = x.new_empty((len(order), x.shape[1])) if needs_x else None
        if grad_rows is not None:
            grad_rows[held.shape[0] :] = 0
        for gradient, count in zip(gradients, ctx.counts, strict=True):
            for pair in (*gradient.first, gradient.last) if not count else ():
                for empty in pair:
                    if empty is not None:
                        empty.zero_()
        for group, here in _groups(ctx.counts, held.shape[1]):
            sizes = [ctx.counts[e] for e in group]
            at, scale = token[here], by_row[here]
            grad_result = grad.index_select(0, at)
            grad_results, grad_value = grad_result.split(sizes), None
            if inner or needs_weight:
                grad_value = x.new_empty((len(at), experts[0].last[0].shape[1]))
                grad_values = grad_value.split(sizes)
                for e, rows, out in zip(group, grad_results, grad_values, strict=True):
                    torch.mm(rows, experts[e].last[0], out=out)
            value, grad_hidden, grad_scale = ctx.gate.value_and_grad(held[here], grad_value, scale)
            if grad_weight is not None:
                biases = [experts[e].last[1] for e in group]
                if biases[0] is not None:
                    pairs = zip(grad_results, biases, strict=True)
                    grad_scale = grad_scale + torch.cat([rows @ bias for rows, bias in pairs])
                grad_weight[here] = grad_scale
            values, scales = value.split(sizes), scale.to(grad.dtype).split(sizes)
            for e, rows, activity, factor in zip(group, grad_results, values, scales, strict=True):
                grad_down, grad_down_bias = gradients[e].last
                if grad_down is not None:
                    torch.mm(rows.t(), activity, out=grad_down)
                if grad_down_bias is not None:
                    torch.mv(rows.t(), factor, out=grad_down_bias)
            if inner:
                _first_gradients(
                    [(experts[e], gradients[e]) for e in group],
                    grad_hidden.split(sizes),
                    x.index_select(0, at).split(sizes),
                    None if grad_rows is None else grad_rows[here].split(sizes),
                )
        if grad_weight is not None:
            unsorted = torch.empty_like(grad_weight)
            unsorted[order] = grad_weight
            grad_weight = unsorted.view_as(weight)
        grad_x = None if grad_rows is None else _sum_by_token(grad_rows, order, None, weight.shape)
        return grad_x, grad_weight, None, None, None, None, *grads


def _first_gradients(
    pairs: list[tuple[_Expert, _Expert]],
    grad_hidden: Sequence[torch.Tensor],
    rows: Sequence[torch.Tensor],
    grad_rows: Sequence[torch.Tensor] | None,
) -> None:
    """Gradients of the first matrices of some experts, and of their rows, into what is there.

    Args:
        pairs: each expert and its gradients; None for what is frozen.
        grad_hidden: gradient of each one's first products [R, w].
        rows: each one's rows [R, h].
        grad_rows: where the gradients of the rows go; None if nobody needs them.
    """
    for number, (expert, gradient) in enumerate(pairs):
        column = 0
        for (matrix, _), (grad_matrix, grad_bias) in zip(expert.first, gradient.first, strict=True):
            part = grad_hidden[number][:, column : column + matrix.shape[0]]
            if grad_matrix is not None:
                torch.mm(part.t(), rows[number], out=grad_matrix)
            if grad_bias is not None:
                torch.sum(part, dim=0, out=grad_bias)
            if grad_rows is not None:
                out = grad_rows[number]
                torch.addmm(out, part, matrix, beta=1 if column else 0, out=out)
            column += matrix.shape[0]


def _groups(counts: list[int], width: int) -> list[tuple[list[int], slice]]:
    """Consecutive experts with rows, and the place of their rows.

    What is done row by row is done for a group at once: few calls where experts have few rows, and
    within a cache where they have many. No number depends on it.
    """
    groups: list[tuple[list[int], slice]] = []
    start = end = 0
    group: list[int] = []
    for e, count in enumerate(counts):
        if group and count and (end + count - start) * width > _GROUP:
            groups.append((group, slice(start, end)))
            group, start = [], end
        if count:
            group, end = [*group, e], end + count
    return [*groups, (group, slice(start, end))] if group else groups


def _linear(rows: torch.Tensor, matrix: torch.Tensor, bias: Any, out: torch.Tensor) -> None:
    if bias is None:
        torch.mm(rows, matrix.t(), out=out)
    else:
        torch.addmm(bias, rows, matrix.t(), out=out)


def _sum_by_token(
    rows: torch.Tensor, order: torch.Tensor, weight: torch.Tensor | None, shape: torch.Size
) -> torch.Tensor:
    """Σ_k weight[t, k] · row (t, k), [T, h] in the type of the rows, which are sorted by expert."""
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    if weight is None and shape[1] == 1:
        return rows.index_select(0, place)
    plain = rows.dtype.itemsize >= 4 and (weight is None or weight.dtype == rows.dtype)
    if plain and len(order):
        each = None if weight is None else weight.contiguous()
        return embedding_bag(place.view(shape), rows, mode="sum", per_sample_weights=each)
    taken = rows.index_select(0, place).view(*shape, rows.shape[1])
    taken = taken.float() if weight is None and rows.dtype.itemsize < 4 else taken
    return (taken if weight is None else taken * weight.unsqueeze(2)).sum(1).to(rows.dtype)


def _is_plain(expert: Any) -> bool:
    """Whether an expert is a known MLP of ordinary linear layers, with nothing attached."""
    kind = type(expert)
    if f"{kind.__module__}.{kind.__qualname__}" not in PLAIN_MLPS or _is_hooked(expert):
        return False
    if any(True for _ in expert.act_fn.parameters()):
        return False
    for name in _LINEARS:
        linear = expert._modules[name]
        if type(linear) is not torch.nn.Linear or _is_hooked(linear):
            return False
        weights = [weight for weight in linear._parameters.values() if weight is not None]
        if any(type(weight) not in (torch.nn.Parameter, torch.Tensor) for weight in weights):
            return False
    return True


def _is_hooked(module: Any) -> bool:
    return bool(
        "forward" in module.__dict__ or module._forward_hooks or module._forward_pre_hooks
        or module._backward_hooks or module._backward_pre_hooks
    )  # fmt: skip


def _hooked_everywhere() -> bool:
    return bool(torch.nn.modules.module._has_any_global_hook())


def _by_module(
    x: torch.Tensor,
    weight: torch.Tensor,
    order: torch.Tensor,
    counts: list[int],
    experts: Sequence[torch.nn.Module],
) -> torch.Tensor:
    """As ``routed``, by calling the experts as modules."""
    from torch.distributed.fsdp import FSDPModule

    trained = torch.is_grad_enabled()
    token = order // weight.shape[1]
    # index_select of all rows and split have one backward pass each; slices would fill a full-size
    # gradient with zeros for every expert.
    parts = x.index_select(0, token).split([*counts, len(order) - sum(counts)])
    results = []
    for expert, rows, count in zip(experts, parts, counts, strict=False):
        learns = trained and any(weight.requires_grad for weight in expert.parameters())
        # A sharded expert is gathered by all processes together, whether it has rows here or not.
        if count or learns or isinstance(expert, FSDPModule):
            results.append(expert(rows))
    dtype = results[0].dtype if results else x.dtype
    results.append(torch.zeros_like(parts[-1], dtype=dtype))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    taken = torch.cat(results).index_select(0, place).view(*weight.shape, x.shape[1])
    return (taken * weight.unsqueeze(2)).sum(1).to(x.dtype)
