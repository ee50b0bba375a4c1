"""Training: flat loops. The configuration is light; a loop imports torch when it runs."""

from polylect.train.config import OptimConfig, PretrainConfig
from polylect.train.schedule import learning_rate
from polylect.train.verbs import pretrain

__all__ = ["OptimConfig", "PretrainConfig", "learning_rate", "pretrain"]
