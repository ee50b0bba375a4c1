"""Training as steps of a run; torch is imported only when one of them works."""

from collections.abc import Mapping
from typing import Any

from polylect.runs import StepContext, step
from polylect.train.config import PreferConfig, PretrainConfig, SftConfig


@step(version=1)
def pretrain(config: PretrainConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``tokens`` and ``model``."""
    from polylect.train.pretrain_loop import run_pretrain

    run_pretrain(config, inputs, context)


@step(version=1)
def sft(config: SftConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (conversations)."""
    from polylect.train.sft_loop import run_sft

    run_sft(config, inputs, context)


@step(version=1)
def prefer(config: PreferConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``model`` and ``data`` (preferences)."""
    from polylect.train.prefer_loop import run_prefer

    run_prefer(config, inputs, context)
