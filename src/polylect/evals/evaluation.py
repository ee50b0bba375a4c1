"""Evaluation of a checkpoint on prepared tasks, over a cache of responses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from polylect.base import Ledger, count_look_alikes, digest_of, plain
from polylect.checkpoints import Checkpoint
from polylect.engine import Prepared, Scores
from polylect.evals.config import EvalConfig
from polylect.evals.generating import ANSWERS_SCHEMA, generate_task
from polylect.evals.prepared import PreparedTask
from polylect.evals.scorers import score_items
from polylect.rows import ScoreTable
from polylect.runs import Reporter, Silent
from polylect.text import ChatTemplate, Templated

if TYPE_CHECKING:
    from polylect.engine import Engine

_HELD_TOKENS = 16_000_000
_CHOICES_SCHEMA = {
    "task": pl.String(), "language": pl.String(), "item": pl.String(), "choice": pl.Int32(),
    "answer": pl.Int32(), "log_likelihood": pl.Float64(), "num_tokens": pl.Int64(),
    "greedy": pl.Boolean(), "truncated": pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        scores: a row per item and metric.
        choices: a row per item and choice: task, language, item, choice, answer, log_likelihood
            (nats), num_tokens, greedy, truncated.
        work: tokens of all requests, tokens computed, passes, and passes answered by the cache.
        answers: a row per item and sample of tasks of generation.
        corpus: metrics over all answers of a language together: task, language, metric, value,
            signature.
    """

    scores: ScoreTable
    choices: pl.DataFrame
    work: dict[str, int]
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ANSWERS_SCHEMA))
    corpus: list[dict[str, object]] = field(default_factory=list)


def evaluate(
    tasks: Sequence[PreparedTask],
    checkpoint: Checkpoint,
    config: EvalConfig,
    report: Reporter,
    ledger: Ledger,
    cache: Path | None = None,
) -> Evaluation:
    """The scores of a checkpoint on all tasks.

    Every request is encoded before the first pass, so that one that is too long is refused before
    anything is computed. Killed and run again with the same cache, it gives the same bytes.

    Raises:
        InputError: the model cannot be loaded, or a request does not fit it.
    """
    from polylect.engine import Engine

    engine = Engine.open(checkpoint, config.engine, cache, ledger)
    identity = digest_of({"weights": checkpoint.digest, "engine": plain(config.engine)})
    ends: tuple[int, ...] = ()
    if config.chat:
        ends = Templated(engine.tokenizer, ChatTemplate.load(checkpoint.path)).ends()
    return evaluate_engine(
        tasks, engine, config, report, ledger, identity=identity, ends_of_chat=ends, cache=cache
    )


def evaluate_engine(
    tasks: Sequence[PreparedTask],
    engine: "Engine",
    config: EvalConfig,
    report: Reporter,
    ledger: Ledger,
    *,
    identity: str = "",
    ends_of_chat: tuple[int, ...] = (),
    cache: Path | None = None,
) -> Evaluation:
    """``evaluate`` for an open engine.

    Args:
        tasks: of ``prepare_tasks``.
        engine: the model.
        config: as for ``evaluate``.
        report: progress, in tokens.
        ledger: counts truncated requests, missing metrics and fallbacks.
        identity: of the model, in the cache of generated answers.
        ends_of_chat: tokens that end an answer besides the model's own.
        cache: folder of the answers; None keeps nothing.

    Raises:
        InputError: a request does not fit the model.
    """
    requests: list[Prepared | None] = []
    num_asked = num_planned = 0
    for task in tasks:
        counts = Ledger()
        prepared = engine.prepare(task.requests, counts)
        for event, _, num in counts.rows():
            ledger.count(event, num, task.place)
        num_asked += prepared.num_asked
        num_planned += prepared.num_tokens
        # Large evaluations are tokenized twice rather than kept in memory.
        requests.append(prepared if num_asked <= _HELD_TOKENS else None)
    progress = _Progress(report, num_planned)
    rows: list[dict[str, object]] = []
    choices = [pl.DataFrame(schema=_CHOICES_SCHEMA)]
    answers = [pl.DataFrame(schema=ANSWERS_SCHEMA)]
    corpus: list[dict[str, object]] = []
    for number, task in enumerate(tasks):
        progress.note = task.place
        if task.task.generation is not None:
            generated = generate_task(
                engine, identity, task, config, report, ledger, cache, ends_of_chat
            )
            task_rows = generated.rows
            answers.append(generated.answers)
            corpus += generated.corpus
        else:
            prepared = requests[number] or engine.prepare(task.requests, Ledger())
            requests[number] = None
            scores = engine.answer(prepared, progress)
            progress.before += prepared.num_tokens
            task_rows = score_items(task.task, task.items, scores)
            choices.append(_choices(task, scores))
        settings = digest_of(task.settings | engine.settings)
        rows += [row | {"checkpoint": config.name, "settings": settings} for row in task_rows]
    for column in ("language", "group"):
        names = {str(row[column]) for row in rows if row.get(column)}
        count_look_alikes(ledger, f"values of {column!r}", names)
    return Evaluation(
        scores=ScoreTable.from_rows(rows),
        choices=pl.concat(choices),
        answers=pl.concat(answers),
        corpus=corpus,
        work={
            "tokens_asked": num_asked,
            "tokens_planned": num_planned,
            "tokens_computed": engine.work.tokens,
            "passes": engine.work.passes,
            "passes_from_cache": engine.work.cached_passes,
            "scored": engine.work.scored,
            "scored_from_cache": engine.work.cached,
        },
    )


def _choices(task: PreparedTask, scores: Scores) -> pl.DataFrame:
    choices = [(item, k) for item in task.items for k in range(len(item.choices))]
    return pl.DataFrame(
        {
            "task": [task.task.label] * len(choices),
            "language": [task.language] * len(choices),
            "item": [item.id for item, _ in choices],
            "choice": [k for _, k in choices],
            "answer": [item.answer for item, _ in choices],
            "log_likelihood": scores.log_likelihood,
            "num_tokens": scores.num_tokens,
            "greedy": scores.greedy,
            "truncated": scores.truncated,
        },
        schema=_CHOICES_SCHEMA,
    )


@dataclass
class _Progress(Silent):
    """Reports one task's progress as a part of the whole."""

    report: Reporter
    total: float
    before: float = 0.0
    note: str = ""

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Pass on the progress over all tasks."""
        self.report.update(self.before + done, self.total, unit, self.note)
