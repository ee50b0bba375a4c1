"""Objectives as pure functions of log-probabilities; losses per pair or group, not averaged.

Notation: ``π(y)`` is the policy's log-probability of an answer, summed over its trained tokens (the
end token included, the prompt not); ``ρ(y) = π(y) − π_ref(y)`` is its log-ratio to the reference;
w is the preferred and l the other answer. All tensors of a call have one shape, and so has the
loss: the caller averages it by a count that does not depend on the micro-batches. Everything is
differentiable in ρ and π and works in any floating-point type.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

NO_SCORE = 0.25
"""CoPG's reward of a preferred answer without scores, the other's is its negative: the loss is then
IPO's times β² (Flet-Berliac et al. 2024)."""


def bradley_terry(
    chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, centering: float = 0.0
) -> Tensor:
    """−log σ(r_w − r_l − m) + c · (r_w + r_l)²: the loss of a reward model.

    Args:
        chosen: rewards of the preferred answers.
        rejected: rewards of the others.
        margin: m, the stated strength of the preference (Touvron et al. 2023).
        centering: c, which keeps rewards near zero (Eisenstein et al. 2023).
    """
    loss = -logsigmoid(chosen - rejected - margin)
    return loss + centering * (chosen + rejected) ** 2 if centering else loss


def dpo(
    chosen: Tensor, rejected: Tensor, beta: float = 0.1, label_smoothing: float = 0.0
) -> Tensor:
    """−(1 − ε) log σ(β(ρ_w − ρ_l)) − ε log σ(−β(ρ_w − ρ_l)) (Rafailov et al. 2023, eq. 7).

    Args:
        chosen: ρ_w.
        rejected: ρ_l.
        beta: the KL coefficient.
        label_smoothing: ε, the share of preferences assumed wrong (cDPO).
    """
    gap = beta * (chosen - rejected)
    loss = -logsigmoid(gap)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * logsigmoid(-gap)
    return loss


def robust_dpo(
    chosen: Tensor, rejected: Tensor, beta: float = 0.1, label_smoothing: float = 0.1
) -> Tensor:
    """DPO's loss without the bias of labels flipped with probability ε < ½ (Ray Chowdhury 2024).

    Args:
        chosen: ρ_w.
        rejected: ρ_l.
        beta: as for ``dpo``.
        label_smoothing: ε.
    """
    gap = beta * (chosen - rejected)
    right, wrong = -logsigmoid(gap), -logsigmoid(-gap)
    return ((1 - label_smoothing) * right - label_smoothing * wrong) / (1 - 2 * label_smoothing)


def ipo(chosen: Tensor, rejected: Tensor, beta: float = 0.1) -> Tensor:
    """(ρ_w − ρ_l − 1/(2β))², of sums over tokens (Azar et al. 2023; β is its τ).

    Args:
        chosen: ρ_w.
        rejected: ρ_l.
        beta: the KL coefficient.
    """
    return (chosen - rejected - 1 / (2 * beta)) ** 2


def ipo_mean(
    chosen: Tensor, rejected: Tensor, chosen_tokens: Tensor, rejected_tokens: Tensor,
    beta: float = 0.1,
) -> Tensor:  # fmt: skip
    """IPO of means over tokens, ρ / length: TRL's ``ipo``, which is another objective than IPO.

    Args:
        chosen: ρ_w, summed.
        rejected: ρ_l, summed.
        chosen_tokens: trained tokens of the preferred answer.
        rejected_tokens: trained tokens of the other.
        beta: as for ``ipo``.
    """
    return ipo(chosen / chosen_tokens, rejected / rejected_tokens, beta)


def simpo(
    chosen: Tensor, rejected: Tensor, chosen_tokens: Tensor, rejected_tokens: Tensor,
    beta: float = 2.0, margin: float = 1.0,
) -> Tensor:  # fmt: skip
    """−log σ(β π_w / m_w − β π_l / m_l − γ), without a reference (Meng et al. 2024).

    Args:
        chosen: π_w, the policy's log-probability itself.
        rejected: π_l.
        chosen_tokens: m_w.
        rejected_tokens: m_l.
        beta: scale of the mean log-probability.
        margin: γ.
    """
    gap = chosen / chosen_tokens - rejected / rejected_tokens
    return -logsigmoid(beta * gap - margin)


def slic(chosen: Tensor, rejected: Tensor, beta: float = 0.1) -> Tensor:
    """max(0, 1 − β(ρ_w − ρ_l)): the hinge of SLiC-HF on log-ratios (Zhao et al. 2023).

    Args:
        chosen: ρ_w.
        rejected: ρ_l.
        beta: 1 / margin.
    """
    return relu(1 - beta * (chosen - rejected))


def kto_baseline(mismatched: Tensor) -> Tensor:
    """KTO's z₀: the mean of ρ on answers to other prompts, not below 0, without gradient.

    Args:
        mismatched: ρ(y') of answers that belong to other prompts, of the whole step.
    """
    return mismatched.detach().mean().clamp(min=0)


def kto(
    log_ratios: Tensor, desirable: Tensor, baseline: Tensor, beta: float = 0.1,
    desirable_weight: float = 1.0, undesirable_weight: float = 1.0,
) -> Tensor:  # fmt: skip
    """λ_D(1 − σ(β(ρ − z₀))) for desirable, λ_U(1 − σ(β(z₀ − ρ))) for other answers.

    Source: Ethayarajh et al. 2024, up to the constant λ_y.

    Args:
        log_ratios: ρ, one per answer.
        desirable: whether the answer is a good one.
        baseline: z₀ of ``kto_baseline``.
        beta: risk aversion.
        desirable_weight: λ_D.
        undesirable_weight: λ_U.
    """
    gap = beta * (log_ratios - baseline)
    good = desirable_weight * (1 - torch.sigmoid(gap))
    bad = undesirable_weight * (1 - torch.sigmoid(-gap))
    return torch.where(desirable, good, bad)


def srpo(
    chosen: Tensor, rejected: Tensor,
    chosen_after_chosen: Tensor, rejected_after_chosen: Tensor,
    chosen_after_rejected: Tensor, rejected_after_rejected: Tensor,
    beta: float = 0.1, alpha: float = 0.5, label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """(1 − α) L_joint + α L†: self-improving robust preferences, one network in two roles.

    With p the probability that the preferred answer is the better one::

        L_joint = (p − ½ − (β/2)[ρ(w) − ρ(l) + ρ†(w|l) − ρ†(l|w)])²
        L†      = ½(p − ½ − β[ρ†(w|l) − ρ†(l|l)])² + ½(p − ½ − β[ρ†(w|w) − ρ†(l|w)])²

    ρ†(a|b) is the log-ratio of answer a if the prompt holds b as the answer to improve; at
    inference the network improves its answers in this way, y₀ → y₁ → … .

    Source: Choi et al. 2024 (arXiv 2406.01660). These are the squared residuals of its two
    optimality conditions, which are tested. Its versions differ in constant factors, which scale
    the learning rate.

    Args:
        chosen: ρ(w).
        rejected: ρ(l).
        chosen_after_chosen: ρ†(w|w).
        rejected_after_chosen: ρ†(l|w).
        chosen_after_rejected: ρ†(w|l).
        rejected_after_rejected: ρ†(l|l).
        beta: the KL coefficient.
        alpha: weight of the improver's loss.
        label_smoothing: 1 − p.
    """
    target = 0.5 - label_smoothing
    joint = chosen - rejected + chosen_after_rejected - rejected_after_chosen
    joint_loss = (target - beta / 2 * joint) ** 2
    better = target - beta * (chosen_after_rejected - rejected_after_rejected)
    same = target - beta * (chosen_after_chosen - rejected_after_chosen)
    return (1 - alpha) * joint_loss + alpha * (better**2 + same**2) / 2


def copg(log_ratios: Tensor, rewards: Tensor, beta: float = 0.1) -> Tensor:
    """1/(k − 1) Σ_{i>j} (R_i − βρ_i − R_j + βρ_j)²: contrastive policy gradient, per prompt.

    Its minimum is π_ref exp(R/β) whatever model generated the answers, without clipping or weights.
    On answers of the policy its gradient is that of ``rloo``, negated, times 2βk.

    Source: Flet-Berliac et al. 2024 (arXiv 2406.19185).

    Args:
        log_ratios: ρ of k ≥ 2 answers to each prompt [..., k].
        rewards: any numbers [..., k].
        beta: the KL coefficient.

    Returns:
        [...].
    """
    num = log_ratios.shape[-1]
    assert num >= 2, "a contrast needs two answers"
    regularized = rewards - beta * log_ratios
    # Σ_{i>j} (x_i − x_j)² = k Σ (x_i − mean)²
    centered = regularized - regularized.mean(dim=-1, keepdim=True)
    return num / (num - 1) * (centered**2).sum(dim=-1)


def rloo(policy: Tensor, log_ratios: Tensor, rewards: Tensor, beta: float = 0.05) -> Tensor:
    """−1/k Σ A_i π(y_i), A_i the regularized reward against the mean of the other k − 1.

    Its gradient is REINFORCE's with the leave-one-out baseline; its value has no meaning. The
    gradient is CoPG's over −2βk, answer by answer, so that it also holds on answers of another
    policy; that of REINFORCE without the baseline does not.

    Source: Ahmadian et al. 2024; the regularized reward is R − βρ, a constant.

    Args:
        policy: π of k ≥ 2 answers to each prompt [..., k].
        log_ratios: ρ [..., k]; no gradient flows through it.
        rewards: [..., k].
        beta: the KL coefficient.

    Returns:
        [...].
    """
    num = policy.shape[-1]
    assert num >= 2, "the baseline is of the other answers"
    regularized = (rewards - beta * log_ratios).detach()
    others = (regularized.sum(dim=-1, keepdim=True) - regularized) / (num - 1)
    return -((regularized - others) * policy).mean(dim=-1)


def best_and_worst(rewards: Sequence[float]) -> tuple[int, int]:
    """Indices of the best and the worst of several answers; the first among equals.

    Online DPO trains on both, best-of-N fine-tuning on the best.

    Example:
        >>> best_and_worst([0.2, 0.9, 0.9, -1.0])
        (1, 3)

    Raises:
        ValueError: there is no answer.
    """
    best = max(range(len(rewards)), key=lambda i: (rewards[i], -i))
    worst = min(range(len(rewards)), key=lambda i: (rewards[i], i))
    return best, worst


def with_sft(loss: Tensor, chosen: Tensor, chosen_tokens: Tensor, weight: float) -> Tensor:
    """``loss`` plus ``weight`` times the preferred answer's loss per token (Pang et al. 2024).

    Args:
        loss: of any preference objective, one per pair.
        chosen: π_w.
        chosen_tokens: trained tokens of the preferred answer.
        weight: of the added term.
    """
    return loss - weight * chosen / chosen_tokens if weight else loss
