"""Evaluation as steps of a run; torch is imported only when one of them works."""

from collections.abc import Mapping
from typing import Any

from polylect.evals.config import BitsConfig, EvalConfig
from polylect.runs import StepContext, step


@step(version=1)
def score_bits(config: BitsConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes ``scores.parquet``; inputs ``model`` (a checkpoint's folder) and ``tokens``."""
    from polylect.evals.bits import score_checkpoint

    table = score_checkpoint(
        inputs["model"].path, inputs["tokens"].path, config, context.report, context.ledger
    )
    table.write(context.out / "scores.parquet")


@step(version=1)
def score_tasks(config: EvalConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes what ``polylect eval`` writes; input ``model``, a checkpoint's folder.

    The data that the tasks read are no input of the step: their digests are in ``eval.json``.
    """
    from polylect.checkpoints import Checkpoint
    from polylect.evals.evaluation import build_cells, evaluate
    from polylect.evals.folder import describe, save

    checkpoint = Checkpoint.open(inputs["model"].path)
    cells = build_cells(config, checkpoint, context.ledger)
    found = evaluate(cells, checkpoint, config, context.report, context.ledger, context.work)
    save(context, describe(cells, checkpoint, config), found)
