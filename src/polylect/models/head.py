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
        head: scale is supported, a softcap is not.
        targets: token ids [N].
        weights: [N]; the loss is Σ weight · nll. Divide by a count outside.
    """
    assert head.softcap is None, "training through a softcap is not supported"
    assert head.bias is None, "training a head's bias is not supported"
    return _WeightedNll.apply(hidden, head.weight, targets, weights, head.scale)


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, low = chunk_rows(weight.shape[0]), _product_type(hidden)
        precise = torch.promote_types(low, torch.float32)
        factor = weight.to(low)
        nll = torch.empty(len(hidden), dtype=precise, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            h, t = hidden[part].to(low), targets[part]
            logits = (h @ factor.T).to(precise).mul_(scale)
            total = logits.logsumexp(dim=1)
            chosen = logits.gather(1, t[:, None])[:, 0]
            nll[part] = total - chosen
            # d nll / d logits = softmax − one-hot, times the token's weight and the scale.
            slope = logits.sub_(total[:, None]).exp_()
            slope[torch.arange(len(t), device=t.device), t] -= 1.0
            slope.mul_(weights[part, None] * scale)
            slope = slope.to(low)
            grad_hidden[part] = slope @ factor
            if grad_weight is not None:
                _add_product(grad_weight, slope.T, h)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(nll)
        return (nll * weights).sum(), nll

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scaled = None if grad_weight is None else grad_weight * grads[0]
        return grad_hidden * grads[0], scaled, None, None, None


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
        head: scale is supported, a softcap or a bias is not.
        targets: token ids [N].
    """
    assert head.softcap is None, "training through a softcap is not supported"
    assert head.bias is None, "training a head's bias is not supported"
    return _LogProbabilities.apply(hidden, head.weight, targets, head.scale)


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scale: float
    ) -> torch.Tensor:
        rows, low = chunk_rows(weight.shape[0]), _product_type(hidden)
        precise = torch.promote_types(low, torch.float32)
        factor = weight.to(low)
        log_probabilities = torch.empty(len(hidden), dtype=precise, device=hidden.device)
        kept: list[torch.Tensor | None] = []
        needed = any(ctx.needs_input_grad)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            states = hidden[part].to(low)
            log_probabilities[part], slope = _slopes(states, factor, targets[part], scale)
            room = (len(kept) + 1) * rows * weight.shape[0] <= _KEPT_LOGITS
            kept.append(slope if needed and room else None)
        ctx.save_for_backward(hidden, weight, targets)
        ctx.scale, ctx.rows, ctx.kept, ctx.low = scale, rows, kept, low
        return log_probabilities

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, targets = ctx.saved_tensors
        factor = weight.to(ctx.low)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for number, start in enumerate(range(0, len(hidden), ctx.rows)):
            part = slice(start, start + ctx.rows)
            slope = ctx.kept[number]
            ctx.kept[number] = None
            h = hidden[part].to(ctx.low)
            if slope is None:
                slope = _slopes(h, factor, targets[part], ctx.scale)[1]
            slope = slope.mul_(grads[0][part, None] * ctx.scale).to(ctx.low)
            grad_hidden[part] = slope @ factor
            if grad_weight is not None:
                _add_product(grad_weight, slope.T, h)
        return grad_hidden, grad_weight, None, None


def _product_type(hidden: torch.Tensor) -> torch.dtype:
    """Type of matrix products: autocast's where it is on, else that of the hidden states."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add a matrix product; in place where the types are equal."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _slopes(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the targets [N], and their slopes by the logits [N, vocabulary]."""
    precise = torch.promote_types(hidden.dtype, torch.float32)
    logits = (hidden @ weight.T).to(precise).mul_(scale)
    total = logits.logsumexp(dim=1)
    rows = torch.arange(len(targets), device=targets.device)
    log_probabilities = logits[rows, targets] - total
    slope = logits.sub_(total[:, None]).exp_().neg_()
    slope[rows, targets] += 1.0
    return log_probabilities, slope


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
