"""Evaluation as steps of a run; torch is imported only when one of them works."""

from polylect.evals.config import BitsConfig, EvalConfig
from polylect.runs import StepContext, StepInputs, step


@step(version=2)
def score_bits(config: BitsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``scores.parquet``; inputs ``model`` (a checkpoint's folder) and ``tokens``."""
    from polylect.checkpoints import Checkpoint
    from polylect.evals.bits import bits_per_byte
    from polylect.mixtures import TokenStore

    checkpoint = Checkpoint.open(inputs["model"].path)
    store = TokenStore(inputs["tokens"].path, config.split)
    table = bits_per_byte(checkpoint, store, config, context.report, context.ledger)
    table.write(context.out / "scores.parquet")


@step(version=3)
def score_tasks(config: EvalConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes what ``polylect eval`` writes; input ``model``, a checkpoint's folder.

    The data that the tasks read are part of its key; their digests are in ``eval.json`` too.
    """
    from polylect.checkpoints import Checkpoint
    from polylect.evals.evaluation import evaluate
    from polylect.evals.folder import describe_evaluation, save_evaluation
    from polylect.evals.prepared import prepare_tasks

    checkpoint = Checkpoint.open(inputs["model"].path)
    tasks = prepare_tasks(config, checkpoint, context.ledger)
    evaluation = evaluate(tasks, checkpoint, config, context.report, context.ledger, context.work)
    save_evaluation(context, describe_evaluation(tasks, checkpoint, config), evaluation)
