"""Configuration of training; never imports torch."""

from dataclasses import dataclass
from typing import Literal

from polylect.mixtures import Mixture


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: the peak.
        warmup: share of the steps over which the rate rises from 0, linearly.
        schedule: what follows: ``cosine`` to ``floor``; ``cooldown`` stays at the peak, then falls
            linearly over the last ``cooldown`` share of the steps; ``constant`` stays.
        floor: the last rate, as a share of the peak.
        cooldown: share of the steps that the cooldown takes.
        weight_decay: decoupled; on matrices only, never on norms or the embedding.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        clip: largest norm of the gradient; 0 does not clip.
    """

    learning_rate: float = 3e-3
    warmup: float = 0.05
    schedule: Literal["cosine", "cooldown", "constant"] = "cosine"
    floor: float = 0.1
    cooldown: float = 0.2
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """One language-model training.

    Attributes:
        mixture: what is read, in which order.
        optim: optimiser and schedule.
        tokens_per_step: of one update, more or less by less than one run.
        tokens_per_pass: tokens of one forward and backward pass, in one packed row; bounds the
            memory and does not change what is learnt.
        context_tokens: longest run of tokens.
        save_every: updates between saved states.
        threads: torch's threads; part of the config since sums depend on it.
    """

    mixture: Mixture
    optim: OptimConfig = OptimConfig()
    tokens_per_step: int = 4096
    tokens_per_pass: int = 4096
    context_tokens: int = 256
    save_every: int = 25
    threads: int = 1
