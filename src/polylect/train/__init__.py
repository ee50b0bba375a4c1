"""Training: flat loops. The configuration is light; a loop imports torch when it runs."""

from polylect.train.config import (
    AnswersConfig,
    ExamplesConfig,
    ExampleStage,
    OnlineConfig,
    OptimConfig,
    PreferConfig,
    PretrainConfig,
    RankedConfig,
    RewardConfig,
    SftConfig,
)
from polylect.train.schedule import default_rate, learning_rate
from polylect.train.verbs import (
    RewardSource,
    answers,
    online,
    prefer,
    pretrain,
    ranked,
    reward,
    sft,
)

__all__ = [
    "AnswersConfig",
    "ExampleStage",
    "ExamplesConfig",
    "OnlineConfig",
    "OptimConfig",
    "PreferConfig",
    "PretrainConfig",
    "RankedConfig",
    "RewardConfig",
    "RewardSource",
    "SftConfig",
    "answers",
    "default_rate",
    "learning_rate",
    "online",
    "prefer",
    "pretrain",
    "ranked",
    "reward",
    "sft",
]
