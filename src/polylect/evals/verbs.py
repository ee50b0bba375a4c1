"""Evaluation as steps of a run; torch is imported only when one of them works."""

from collections.abc import Mapping
from typing import Any

from polylect.evals.config import BitsConfig
from polylect.runs import StepContext, step


@step(version=1)
def score_bits(config: BitsConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes ``scores.parquet``; inputs ``model`` (a checkpoint's folder) and ``tokens``."""
    from polylect.evals.bits import score_checkpoint

    table = score_checkpoint(
        inputs["model"].path, inputs["tokens"].path, config, context.report, context.ledger
    )
    table.write(context.out / "scores.parquet")
