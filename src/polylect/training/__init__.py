"""Training: flat loops over packed rows, and objectives as pure functions."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.training.adapters import (
        Adapter,
        adapted_reward,
        adapter_config,
        train_adapter,
    )
    from polylect.training.config import (
        FINETUNE_OPTIM,
        LANGUAGE,
        ONLINE_OPTIONS,
        PREFERENCE_OPTIONS,
        ExamplesConfig,
        ExampleStage,
        Objective,
        OnlineConfig,
        OnlineObjective,
        OptimConfig,
        PreferenceConfig,
        PretrainConfig,
        RewardConfig,
        SftConfig,
    )
    from polylect.training.encode import ConversationTokens, encode_conversations, encode_prompts
    from polylect.training.estimate import forecast
    from polylect.training.inputs import OnlineInputs
    from polylect.training.mesh import Dismissed, dismiss
    from polylect.training.policy import open_policy
    from polylect.training.reward_sources import LanguageSource, ModelSource
    from polylect.training.rewards import check_languages, gated, in_language, rewardable
    from polylect.training.samples import Group, read_groups
    from polylect.training.schedule import default_rate, learning_rate
    from polylect.training.steps import (
        online,
        preference,
        pretrain,
        pretrain_text,
        reward,
        sft,
    )
    from polylect.training.text_config import TextConfig
    from polylect.training.text_loop import forecast_text
    from polylect.training.trackers import Tracker, load_tracker
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
