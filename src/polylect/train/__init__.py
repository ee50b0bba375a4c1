"""Training: flat loops. The configuration is light; a loop imports torch when it runs."""

from polylect.train.config import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferConfig,
    PretrainConfig,
    RewardConfig,
    SftConfig,
)
from polylect.train.schedule import default_rate, learning_rate
from polylect.train.verbs import RewardSource, online, prefer, pretrain, reward, sft

__all__ = [
    "ExamplesConfig",
    "OnlineConfig",
    "OptimConfig",
    "PreferConfig",
    "PretrainConfig",
    "RewardConfig",
    "RewardSource",
    "SftConfig",
    "default_rate",
    "learning_rate",
    "online",
    "prefer",
    "pretrain",
    "reward",
    "sft",
]
