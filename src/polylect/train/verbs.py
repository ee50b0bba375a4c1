"""Training as steps of a run; torch is imported only when one of them works."""

from collections.abc import Mapping
from typing import Any

from polylect.runs import StepContext, step
from polylect.train.config import PretrainConfig


@step(version=1)
def pretrain(config: PretrainConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A checkpoint and ``metrics.jsonl``; inputs ``tokens`` and ``model``."""
    from polylect.train.pretrain_loop import run_pretrain

    run_pretrain(config, inputs, context)
