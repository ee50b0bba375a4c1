"""The reward that each objective's loss contrasts: what accuracy and margin are made of.

It is read off the loss: the loss of a pair depends on the policy through the difference of these
two numbers alone (SRPO's improver has two more terms), so that a pair is right where its loss says
so. Labels, targets and weights of the loss (ε, γ, z₀, scores, the SFT term) are no part of it.
"""

import torch
from torch import Tensor

from polylect.training.config import Objective


def implicit_rewards(
    objective: Objective, beta: float, policy: Tensor, ratios: Tensor, lengths: Tensor
) -> Tensor:
    """Rewards of the preferred and of the other answer of every pair [N, 2].

    With π, ρ and the notation of ``training.objectives`` (sums over tokens), and m an answer's
    trained tokens::

        simpo                                        β π(y) / m        (Meng et al. 2024, eq. 4)
        ipo-mean                                     β ρ(y) / m
        srpo                                         (β/2) [ρ(y) + ρ†(y|y')], y' the other answer
        dpo, robust-dpo, ipo, slic, kto, copg        β ρ(y)

    At the optimum of its loss SRPO's margin is p − ½, IPO's ½, CoPG's the difference of the scores.
    KTO's z₀ is one for both answers and cancels.

    Args:
        objective: of the loss.
        beta: its KL coefficient, or SimPO's scale.
        policy: log-probabilities of the sequences of ``preference_loop.names_of`` [N, S], nats.
        ratios: the same minus the reference's [N, S].
        lengths: trained tokens of both answers [N, 2].
    """
    if objective == "simpo":
        return beta * policy[:, :2] / lengths
    if objective == "ipo-mean":
        return beta * ratios[:, :2] / lengths
    if objective == "srpo":
        chosen, rejected, _, rejected_after_chosen, chosen_after_rejected, _ = ratios.unbind(dim=1)
        sums = [chosen + chosen_after_rejected, rejected + rejected_after_chosen]
        return beta / 2 * torch.stack(sums, dim=1)
    return beta * ratios[:, :2]
