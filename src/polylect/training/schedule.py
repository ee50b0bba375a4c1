"""Learning-rate schedules, as pure functions of the step."""

import math

from polylect.training.config import OptimConfig


def learning_rate(config: OptimConfig, step: int, num_steps: int) -> float:
    """Rate of update ``step`` (from 0) of ``num_steps``: warm-up, then the schedule.

    The warm-up ends at the peak; cosine, linear and cooldown end at ``floor`` times the peak on the
    last update.
    """
    warmup = math.ceil(config.warmup * num_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    after, last = step - warmup, max(1, num_steps - 1 - warmup)
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        falling = 0.5 * (1.0 + math.cos(math.pi * min(1.0, after / last)))
    elif config.schedule == "linear":
        falling = 1.0 - min(1.0, after / last)
    else:
        length = max(1, round(config.cooldown * num_steps))
        falling = min(1.0, max(0.0, (num_steps - 1 - step) / length))
    return config.learning_rate * (config.floor + (1.0 - config.floor) * falling)


def default_rate(at_8_billion: float, num_parameters: int) -> float:
    """A rate for a model of N parameters: that for 8 billion, times (8e9 / N)^¾; two digits.

    A default, not a finding: the exponent joins the rates in use for 8 billion parameters to those
    of models of a few million, which learn next to nothing at the former.
    """
    rate = at_8_billion * (8e9 / max(1, num_parameters)) ** 0.75
    return float(f"{rate:.1e}")
