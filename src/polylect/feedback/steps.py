"""Feedback as steps of a run; torch is imported when one of them runs."""

from collections.abc import Mapping

from polylect.engine import Server
from polylect.feedback.config import AnswersConfig, RankedConfig
from polylect.feedback.pool_config import PairsConfig, PoolConfig, RouteConfig, ScoreConfig
from polylect.feedback.routing import RouteInputs
from polylect.feedback.scoring import ScoreInputs
from polylect.feedback.translation.config import TranslateConfig
from polylect.feedback.translation.running import TranslateInputs, run_translate
from polylect.runs import FileInput, StepContext, StepInputs, step
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


@step(version=2)
def pool(
    config: PoolConfig, inputs: Mapping[str, FileInput | Server], context: StepContext
) -> None:
    """Write a pool: inputs ``prompts``, ``teacher:NAME``, ``reuse:NUMBER``, ``choices``."""
    from polylect.feedback.pooling import run_pool

    run_pool(config, inputs, context)


@step(version=1)
def score(config: ScoreConfig, inputs: ScoreInputs, context: StepContext) -> None:
    """Write ``rewards.parquet`` of a pool: inputs ``pool`` and ``reward``."""
    from polylect.feedback.scoring import run_score

    run_score(config, inputs, context)


@step(version=1)
def route(config: RouteConfig, inputs: RouteInputs, context: StepContext) -> None:
    """Write routed answers: inputs ``pool``, ``reward``, ``judged_by``, ``prompts`` (optional)."""
    from polylect.feedback.routing import run_route

    run_route(config, inputs, context)


@step(version=1)
def pairs(config: PairsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Write preferences: inputs ``pool``, ``reward`` (optional), ``not_in:NUMBER``."""
    from polylect.feedback.pairing import run_pairs

    run_pairs(config, inputs, context)
