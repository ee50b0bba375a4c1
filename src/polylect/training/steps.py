"""Training as steps of a run; torch is imported when one of them runs."""

from polylect.runs import StepContext, StepInputs, step
from polylect.training.config import (
    OnlineConfig,
    PreferenceConfig,
    PretrainConfig,
    RewardConfig,
    SftConfig,
)
from polylect.training.inputs import OnlineInputs, TextInputs
from polylect.training.text_config import TextConfig


@step(version=4)
def pretrain(config: PretrainConfig, inputs: StepInputs, context: StepContext) -> None:
    """A checkpoint, ``metrics.jsonl`` and ``read.json``; inputs ``tokens`` and ``model``."""
    from polylect.training.pretrain_loop import run_pretrain

    run_pretrain(config, inputs, context)


@step(version=2, uses_languages=True)
def pretrain_text(config: TextConfig, inputs: TextInputs, context: StepContext) -> None:
    """A checkpoint, ``metrics.jsonl``, ``read.json``; inputs ``model``, ``text`` (documents)."""
    from polylect.training.text_loop import run_pretrain_text

    run_pretrain_text(config, inputs, context)


@step(version=6)
def sft(config: SftConfig, inputs: StepInputs, context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (conversations)."""
    from polylect.training.sft_loop import run_sft

    run_sft(config, inputs, context)


@step(version=7)
def preference(config: PreferenceConfig, inputs: StepInputs, context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (preferences)."""
    from polylect.training.preference_loop import run_preference

    run_preference(config, inputs, context)


@step(version=4)
def reward(config: RewardConfig, inputs: StepInputs, context: StepContext) -> None:
    """A reward model and ``metrics.jsonl``; inputs ``model`` and ``data`` (preferences)."""
    from polylect.training.reward_loop import run_reward

    run_reward(config, inputs, context)


@step(version=6)
def online(config: OnlineConfig, inputs: OnlineInputs, context: StepContext) -> None:
    """A checkpoint, metrics and the answers; inputs ``model``, ``data`` and ``reward``."""
    from polylect.training.online_loop import run_online

    run_online(config, inputs, context)
