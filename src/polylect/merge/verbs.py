"""Merging as a step of a run."""

from collections.abc import Mapping
from typing import Any

from polylect.checkpoints import Checkpoint
from polylect.merge.config import LinearConfig
from polylect.merge.linear import merge_linear
from polylect.runs import StepContext, step


@step(version=2)
def merge_checkpoints(
    config: LinearConfig, inputs: Mapping[str, Any], context: StepContext
) -> None:
    """A merged checkpoint; the inputs are checkpoints, in the order of the weights."""
    result = merge_linear(
        [Checkpoint.open(one.path) for one in inputs.values()],
        config.weights,
        context.out,
        normalise=config.normalise,
        labels=list(inputs),
    )
    for event, where, num in result.ledger.rows():
        context.ledger.count(event, num, where)
