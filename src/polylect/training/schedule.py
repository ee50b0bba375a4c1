"""Learning-rate schedules, as pure functions of the step."""

import math

from polylect.training.config import OptimConfig


def learning_rate(config: OptimConfig, step: int, num_steps: int) -> float:
    """The rate of step ``step``, counted from 0, of ``num_steps``: warm-up, then the schedule.

    The warm-up ends at the peak. Cosine, linear and cooldown end at ``min_lr_ratio`` times the peak
    in the last step.

    Example:
        >>> config = OptimConfig(learning_rate=1.0, warmup=0.5, schedule="linear", min_lr_ratio=0.0)
        >>> [learning_rate(config, step, 4) for step in range(4)]
        [0.5, 1.0, 1.0, 0.0]
    """
    warmup = math.ceil(config.warmup * num_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    after, last = step - warmup, max(1, num_steps - 1 - warmup)
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        decay = 0.5 * (1.0 + math.cos(math.pi * min(1.0, after / last)))
    elif config.schedule == "linear":
        decay = 1.0 - min(1.0, after / last)
    else:
        length = max(1, round(config.cooldown * num_steps))
        decay = min(1.0, max(0.0, (num_steps - 1 - step) / length))
    return config.learning_rate * (config.min_lr_ratio + (1.0 - config.min_lr_ratio) * decay)


def default_rate(at_8_billion: float, num_parameters: int) -> float:
    """The default rate for N parameters: that for 8 billion times (8e9 / N)^¾, to two digits.

    A rule of thumb, not a finding: the exponent joins the rates in use for 8 billion parameters to
    those of models of a few million, which learn next to nothing at the former.

    Example:
        >>> default_rate(1e-6, 8_000_000)
        0.00018
    """
    rate = at_8_billion * (8e9 / max(1, num_parameters)) ** 0.75
    return float(f"{rate:.1e}")
