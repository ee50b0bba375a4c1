"""Training: flat loops. The configuration is light; a loop imports torch when it runs."""

from polylect.train.config import (
    ExamplesConfig,
    OptimConfig,
    PreferConfig,
    PretrainConfig,
    SftConfig,
)
from polylect.train.schedule import default_rate, learning_rate
from polylect.train.verbs import prefer, pretrain, sft

__all__ = [
    "ExamplesConfig",
    "OptimConfig",
    "PreferConfig",
    "PretrainConfig",
    "SftConfig",
    "default_rate",
    "learning_rate",
    "prefer",
    "pretrain",
    "sft",
]
