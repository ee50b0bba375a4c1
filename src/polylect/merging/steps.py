"""Merging as a step of a run."""

from collections.abc import Mapping
from typing import Any

from polylect.checkpoints import Checkpoint
from polylect.merging.config import LinearConfig, MergeConfig
from polylect.merging.engine import merge
from polylect.merging.linear import merge_linear
from polylect.runs import StepContext, step


@step(version=3)
def merge_checkpoints(
    config: LinearConfig, inputs: Mapping[str, Any], context: StepContext
) -> None:
    """A merged checkpoint; the inputs are checkpoints, in the order of the weights."""
    result = merge_linear(
        [Checkpoint.open(one.path) for one in inputs.values()],
        config.weights,
        context.out,
        normalize=config.normalize,
        labels=list(inputs),
        place=context.out.parent,
    )
    for event, where, num in result.ledger.rows():
        context.ledger.count(event, num, where)


@step(version=2)
def merge_models(config: MergeConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """A merged checkpoint, by any operator; the labels of the inputs are those of the config."""
    result = merge(
        config,
        {label: Checkpoint.open(one.path) for label, one in inputs.items()},
        context.out,
        place=context.out.parent,  # the finished step lies beside its unfinished folder
    )
    for event, where, num in result.ledger.rows():
        context.ledger.count(event, num, where)
