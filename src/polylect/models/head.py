"""The language-model head, applied only where needed, in chunks fused with the log-probability.

The full logits are never stored: with a vocabulary of 256,000 they would be the largest tensor.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from polylect.base import InputError
from polylect.text import TokenBatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_CHUNK_LOGITS = 1 << 22
_LEAST_ROWS = 64


_ROWS, _TOKENS = 1024, 2048
"""Rows and vocabulary entries of one block of logits, where no gradient is needed."""


def held_logits(vocab_size: int) -> int:
    """Largest number of logits that ``token_log_probabilities`` holds at a time."""
    return _ROWS * min(vocab_size, _TOKENS)


def chunk_rows(vocab_size: int) -> int:
    """Hidden states per chunk in training.

    About four million logits, but at least 64 rows: with fewer, reading the weight of a large
    vocabulary would dominate.
    """
    return max(_LEAST_ROWS, _CHUNK_LOGITS // vocab_size)


@dataclass(frozen=True)
class Head:
    """Maps hidden states to logits: ``cap(scale · (h · weightᵀ + bias))``.

    Attributes:
        weight: [vocabulary, hidden]; often the input embedding itself.
        scale: factor on the logits (Cohere's ``logit_scale``, Granite's ``1 / logits_scaling``).
        softcap: c in ``c · tanh(logits / c)`` (Gemma 2), or None.
        bias: [vocabulary], added before the scale, or None.
    """

    weight: torch.Tensor
    scale: float = 1.0
    softcap: float | None = None
    bias: torch.Tensor | None = None

    def logits(self, hidden: torch.Tensor, start: int = 0, end: int | None = None) -> torch.Tensor:
        """Logits [N, end − start] of hidden states [N, hidden], for a range of the vocabulary."""
        bias = None if self.bias is None else self.bias[start:end]
        raw = torch.nn.functional.linear(hidden, self.weight[start:end], bias)
        if self.scale != 1.0:
            raw = raw * self.scale
        return raw if self.softcap is None else self.softcap * torch.tanh(raw / self.softcap)


def head_of(model: "PreTrainedModel") -> Head:
    """The head of a causal language model of transformers.

    Raises:
        InputError: the head is not a linear layer.
    """
    layer, config = model.get_output_embeddings(), model.config
    if not isinstance(layer, torch.nn.Linear):
        raise InputError(
            f"{type(model).__name__}: its head is not a plain linear layer",
            "polylect cannot score it yet",
        )
    scale = _setting(config, "logit_scale", "lm_head_multiplier")
    if scale is None:
        scale = 1.0 / getattr(config, "logits_scaling", 1.0)
    cap = _setting(config, "final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
    return Head(layer.weight, float(scale), cap, layer.bias)


def _setting(config: Any, *names: str) -> float | None:
    """The first of these settings that a config has; architectures name the same one variously."""
    return next(
        (value for name in names if (value := getattr(config, name, None)) is not None), None
    )


def scored_positions(batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows to predict from, target ids, and loss weights of a row's trained tokens, [N] each."""
    at = torch.from_numpy(batch.loss_weight).nonzero()[:, 0]
    before = torch.from_numpy(batch.predecessors())[at]
    assert bool((before >= 0).all()), "a token without context cannot carry loss"
    return before, torch.from_numpy(batch.ids)[at], torch.from_numpy(batch.loss_weight)[at]


def weighted_nll(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum of negative log-likelihoods (scalar, nats), and the detached values [N].

    The gradient is computed in the same pass over the chunks, so that the head runs once.

    Args:
        hidden: [N, hidden].
        head: the head.
        targets: token ids [N].
        weights: [N]; the loss is Σ weight · nll. Divide by a count outside.
    """
    return _WeightedNll.apply(
        hidden, head.weight, head.bias, targets, weights, head.scale, head.softcap
    )


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        weights: torch.Tensor,
        scale: float,
        softcap: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, low = chunk_rows(weight.shape[0]), _product_type(hidden)
        head = Head(weight.to(low), scale, softcap, None if bias is None else bias.to(low))
        precise = torch.promote_types(low, torch.float32)
        nll = torch.empty(len(hidden), dtype=precise, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            h = hidden[part].to(low)
            log_probabilities, slope = _slopes(h, head, targets[part])
            nll[part] = -log_probabilities
            slope = slope.mul_(-weights[part, None]).to(low)
            grad_hidden[part] = slope @ head.weight
            _add_gradients(grad_weight, grad_bias, slope, h)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll)
        return (nll * weights).sum(), nll

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scaled = [None if grad is None else grad * grads[0] for grad in ctx.saved_tensors]
        return *scaled, None, None, None, None


_KEPT_LOGITS = 1 << 26
"""Largest number of values ``answer_log_probabilities`` keeps for backward: 256 MiB."""


def answer_log_probabilities(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each target [N] in nats, with gradient.

    The derivatives with respect to the logits are kept, chunk by chunk, up to 64 million values;
    beyond that the backward pass recomputes the logits. The full logits are never stored.

    Args:
        hidden: [N, hidden].
        head: the head.
        targets: token ids [N].
    """
    return _LogProbabilities.apply(
        hidden, head.weight, head.bias, targets, head.scale, head.softcap
    )


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        scale: float,
        softcap: float | None,
    ) -> torch.Tensor:
        rows, low = chunk_rows(weight.shape[0]), _product_type(hidden)
        precise = torch.promote_types(low, torch.float32)
        head = Head(weight.to(low), scale, softcap, None if bias is None else bias.to(low))
        log_probabilities = torch.empty(len(hidden), dtype=precise, device=hidden.device)
        kept: list[torch.Tensor | None] = []
        needed = any(ctx.needs_input_grad)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            states = hidden[part].to(low)
            log_probabilities[part], slope = _slopes(states, head, targets[part])
            room = (len(kept) + 1) * rows * weight.shape[0] <= _KEPT_LOGITS
            kept.append(slope if needed and room else None)
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.scale, ctx.softcap, ctx.rows, ctx.kept, ctx.low = scale, softcap, rows, kept, low
        return log_probabilities

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        low_bias = None if bias is None else bias.to(ctx.low)
        head = Head(weight.to(ctx.low), ctx.scale, ctx.softcap, low_bias)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias) if ctx.needs_input_grad[2] else None
        for number, start in enumerate(range(0, len(hidden), ctx.rows)):
            part = slice(start, start + ctx.rows)
            slope = ctx.kept[number]
            ctx.kept[number] = None
            h = hidden[part].to(ctx.low)
            if slope is None:
                slope = _slopes(h, head, targets[part])[1]
            slope = slope.mul_(grads[0][part, None]).to(ctx.low)
            grad_hidden[part] = slope @ head.weight
            _add_gradients(grad_weight, grad_bias, slope, h)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _product_type(hidden: torch.Tensor) -> torch.dtype:
    """Type of matrix products: autocast's where it is on, else that of the hidden states."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _add_gradients(
    of_weight: torch.Tensor | None,
    of_bias: torch.Tensor | None,
    slope: torch.Tensor,
    hidden: torch.Tensor,
) -> None:
    """Add a chunk's gradients of weight and bias; in place where the types are equal."""
    if of_weight is not None:
        if of_weight.dtype == slope.dtype:
            of_weight.addmm_(slope.T, hidden)
        else:
            of_weight.add_(slope.T @ hidden)
    if of_bias is not None:
        of_bias.add_(slope.sum(dim=0))


def _slopes(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the targets [N], and their slopes [N, vocabulary].

    The slopes are those by ``h · weightᵀ + bias``: through scale and softcap.
    """
    precise = torch.promote_types(hidden.dtype, torch.float32)
    logits = hidden @ head.weight.T
    if head.bias is not None:
        logits = logits + head.bias
    logits = logits.to(precise)
    if head.scale != 1.0:
        logits = logits.mul_(head.scale)
    rows = torch.arange(len(targets), device=targets.device)
    inner: torch.Tensor | None = None
    if head.softcap is not None:
        logits = logits.div_(head.softcap).tanh_()
        inner = logits.square().neg_().add_(1.0)
        logits = logits.mul_(head.softcap)
    total = logits.logsumexp(dim=1)
    log_probabilities = logits[rows, targets] - total
    # d log p / d logits = one-hot − softmax.
    slope = logits.sub_(total[:, None]).exp_().neg_()
    slope[rows, targets] += 1.0
    if inner is not None:
        slope.mul_(inner)
    return log_probabilities, slope if head.scale == 1.0 else slope.mul_(head.scale)


@torch.no_grad()
def token_log_probabilities(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, rows: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target [N] in nats, and whether it is the most likely one [N].

    Without gradient, chunk by chunk. Ties go to the smallest token id.

    Args:
        hidden: [M, hidden].
        head: the head.
        targets: token ids [N].
        rows: hidden state that predicts each target [N], ascending; None is one per target.
    """
    if rows is None:
        rows = torch.arange(len(targets), device=hidden.device)
    precise = torch.promote_types(hidden.dtype, torch.float32)
    log_probabilities = torch.empty(len(targets), dtype=precise, device=hidden.device)
    best = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    edges = torch.searchsorted(
        rows, torch.arange(0, len(hidden) + _ROWS, _ROWS, device=hidden.device)
    ).tolist()
    for start, first, last in zip(range(0, len(hidden), _ROWS), edges, edges[1:], strict=False):
        if first == last:
            continue
        row, target = rows[first:last] - start, targets[first:last]
        part = hidden[start : start + _ROWS]
        chosen, total, likeliest = _by_vocabulary(part, head, target, row, precise)
        log_probabilities[first:last] = chosen - total[row]
        best[first:last] = likeliest[row] == target
    return log_probabilities, best


def _by_vocabulary(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, rows: torch.Tensor, precise: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logit of each target; log-sum-exp and most likely token of each hidden state.

    The vocabulary is processed in blocks that fit the CPU cache, carrying the running maximum and
    the sum of exponentials (online softmax).
    """
    vocab = head.weight.shape[0]
    chosen = torch.empty(len(targets), dtype=precise, device=hidden.device)
    lowest = torch.finfo(precise).min
    largest = torch.full((len(hidden),), lowest, dtype=precise, device=hidden.device)
    total = torch.zeros_like(largest)
    likeliest = torch.zeros(len(hidden), dtype=torch.int64, device=hidden.device)
    for start in range(0, vocab, _TOKENS):
        end = min(start + _TOKENS, vocab)
        logits = head.logits(hidden, start, end).to(precise)
        inside = ((targets >= start) & (targets < end)).nonzero()[:, 0]
        chosen[inside] = logits[rows[inside], targets[inside] - start]
        top, where = logits.max(dim=1)
        likeliest = torch.where(top > largest, where + start, likeliest)
        top = torch.maximum(top, largest)
        # In place: a copy of the piece would double what the head holds.
        total = total * (largest - top).exp_() + logits.sub_(top[:, None]).exp_().sum(dim=1)
        largest = top
    return chosen, largest + total.log(), likeliest
