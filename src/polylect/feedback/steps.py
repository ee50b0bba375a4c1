"""Feedback as steps of a run; torch is imported when one of them runs."""

from polylect.feedback.config import AnswersConfig, RankedConfig
from polylect.feedback.translation.config import TranslateConfig
from polylect.feedback.translation.running import TranslateInputs, run_translate
from polylect.runs import StepContext, StepInputs, step
from polylect.training import OnlineInputs


@step(version=5)
def answers(config: AnswersConfig, inputs: OnlineInputs, context: StepContext) -> None:
    """Write ``answers.parquet`` and ``scores.parquet``.

    Inputs: ``model``, ``data`` (prompts) and ``reward``.
    """
    from polylect.feedback.best_of_n import run_answers

    run_answers(config, inputs, context)


@step(version=1)
def ranked(config: RankedConfig, inputs: StepInputs, context: StepContext) -> None:
    """Write ``pairs.jsonl`` of best and worst answers; input ``samples`` (of ``online``)."""
    from polylect.feedback.best_of_n import run_ranked

    run_ranked(config, inputs, context)


@step(version=1)
def translate(config: TranslateConfig, inputs: TranslateInputs, context: StepContext) -> None:
    """Write ``translated.jsonl`` or, of answers, ``translated.parquet``, and ``failed.jsonl``.

    Inputs: ``rows`` and ``translator``.
    """
    run_translate(config, inputs, context)
