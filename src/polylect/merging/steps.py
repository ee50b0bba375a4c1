"""Merging as a step of a run."""

from polylect.checkpoints import Checkpoint
from polylect.merging.config import LinearConfig, MergeConfig
from polylect.merging.engine import merge
from polylect.merging.linear import merge_linear
from polylect.runs import StepContext, StepInputs, step


@step(version=5)
def merge_checkpoints(config: LinearConfig, inputs: StepInputs, context: StepContext) -> None:
    """Write a linear merge of the inputs, which are in the order of the weights."""
    result = merge_linear(
        [Checkpoint.open(artifact.path) for artifact in inputs.values()],
        config.weights,
        context.out,
        normalize=config.normalize,
        labels=list(inputs),
        final=context.out.parent,
    )
    for event, where, num in result.ledger.rows():
        context.ledger.count(event, num, where)


@step(version=4)
def merge_models(config: MergeConfig, inputs: StepInputs, context: StepContext) -> None:
    """Write a merge of the inputs by any operator; their labels are those of the config."""
    result = merge(
        config,
        {label: Checkpoint.open(artifact.path) for label, artifact in inputs.items()},
        context.out,
        final=context.out.parent,  # the finished step is a sibling of its unfinished folder
        report=context.report,
    )
    for event, where, num in result.ledger.rows():
        context.ledger.count(event, num, where)
