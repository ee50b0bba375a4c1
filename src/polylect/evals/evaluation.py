"""Tasks on a checkpoint: from names to a table of scores, with a response cache underneath."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from polylect.base import InputError, Ledger, digest_of, plain
from polylect.base import language as language_of
from polylect.checkpoints import Checkpoint
from polylect.engine import Prepared, Scores
from polylect.evals.config import EvalConfig
from polylect.evals.generating import ANSWERS_SCHEMA, Cell, generate_cell, prompts_of, settings_of
from polylect.evals.scorers import choose_shots, requests, score_items
from polylect.evals.sources import MissingTranslation, Source
from polylect.evals.tasks.registry import find_task
from polylect.rows import ScoreTable
from polylect.runs import Reporter, Silent
from polylect.text import ChatTemplate, Templated

if TYPE_CHECKING:
    from polylect.engine import Engine

MISSING = "missing: translation"
"""What the ledger counts for a language in which a task has no data, once per task."""

_HELD_TOKENS = 16_000_000
EQUAL_CHOICES = "kept: item with equal choices"
"""What the ledger counts for an item that holds a choice twice; the first of them wins a tie."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: a row per item and metric.
        choices: a row per item and choice: task, language, item, choice, answer, log_likelihood
            (nats), num_tokens, greedy, truncated.
        work: tokens that the requests hold, tokens that were computed, passes and those answered
            by the cache.
        answers: a row per item and sample of tasks of generation.
        corpus: scores of all answers of a language together: task, language, metric, value,
            signature.
    """

    scores: ScoreTable
    choices: pl.DataFrame
    work: dict[str, int]
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ANSWERS_SCHEMA))
    corpus: list[dict[str, object]] = field(default_factory=list)


def build_cells(config: EvalConfig, checkpoint: Checkpoint, ledger: Ledger) -> list[Cell]:
    """All that will be asked, task by task and language by language; no model is loaded.

    A language that a task does not have is counted in the ledger. Items are the first ``limit`` of
    a task's fixed order, so that parallel tasks score the same ones in every language.

    Raises:
        InputError: no such task or language, data that are not at hand or are broken, too few
            examples for the shots, or nothing is left to score.
    """
    if not config.tasks:
        raise InputError("no task was named", "--tasks NAME,NAME; polylect tasks lists them")
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit is {config.limit}", "give 1 or more")
    tasks = [find_task(one) for one in config.tasks]
    names = [one.name for one in tasks]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise InputError(f"two tasks are called {twice[0]!r}", "name each once")
    source = Source.at(config.data, config.hub)
    template = ChatTemplate.load(checkpoint.path) if config.chat else None
    wanted = [(one, language_of(one, "--languages").tag) for one in config.languages]
    cells = []
    for task in tasks:
        # A task file may say zh, where the built-in tasks say which script.
        named = [said if said in task.languages else tag for said, tag in wanted]
        for language in dict.fromkeys(named or task.languages):
            own = source.fresh()
            try:
                items = task.items(own, language)[: config.limit]
            except MissingTranslation:
                ledger.count(MISSING, 1, f"{task.name} {language}")
                continue
            if not items:
                raise InputError(f"{task.name} ({language}): there is no item", "check its data")
            twice = sum(len(set(zip(one.contexts(), one.choices, strict=True))) < len(one.choices)
                        for one in items)  # fmt: skip
            ledger.count(EQUAL_CHOICES, twice, f"{task.name} {language}")
            pool = task.shots(own, language) if config.shots else []
            # Where the items are their own examples, the limit must not change which.
            whole = items if pool or not config.shots else task.items(own, language)
            shots = choose_shots(task, whole, pool, config.shots)[: len(items)]
            render = template.render if template else None
            settings = {
                "task": task.label,
                "data": own.digests,
                "shots": config.shots,
                "chat": template is not None,
            }
            if task.generation is not None:
                settings |= settings_of(task, language, config)
                prompts = tuple(prompts_of(items, shots, render))
                cells.append(Cell(task, language, tuple(items), (), settings, prompts))
                continue
            asked = requests(items, shots, render)
            cells.append(Cell(task, language, tuple(items), tuple(asked), settings))
    if not cells:
        raise InputError(
            f"none of the tasks {', '.join(names)} has a language of {' '.join(config.languages)}",
            f"{names[0]} has {' '.join(tasks[0].languages)}",
        )
    return cells


def evaluate(
    cells: Sequence[Cell],
    checkpoint: Checkpoint,
    config: EvalConfig,
    report: Reporter,
    ledger: Ledger,
    cache: Path | None = None,
) -> Evaluation:
    """Scores of a checkpoint on all cells.

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
        cells, engine, config, report, ledger, identity=identity, ends_of_chat=ends, cache=cache
    )


def evaluate_engine(
    cells: Sequence[Cell],
    engine: "Engine",
    config: EvalConfig,
    report: Reporter,
    ledger: Ledger,
    *,
    identity: str = "",
    ends_of_chat: tuple[int, ...] = (),
    cache: Path | None = None,
) -> Evaluation:
    """As ``evaluate``, of an engine that is open already.

    Args:
        cells: of ``build_cells``.
        engine: the model.
        config: as for ``evaluate``.
        report: told the tokens.
        ledger: counts.
        identity: what names the model to the cache of answers.
        ends_of_chat: tokens that end an answer besides the model's own.
        cache: folder of the answers; None keeps nothing.

    Raises:
        InputError: a request does not fit the model.
    """
    waiting: list[Prepared | None] = []
    asked = planned = 0
    for cell in cells:
        own = Ledger()
        prepared = engine.prepare(cell.asked, own)
        for event, _, num in own.rows():
            ledger.count(event, num, f"{cell.task.name} {cell.language}")
        asked, planned = asked + prepared.num_asked, planned + prepared.num_tokens
        # Large evaluations are tokenized twice rather than held.
        waiting.append(prepared if asked <= _HELD_TOKENS else None)
    progress = _Progress(report, planned)
    rows: list[dict[str, object]] = []
    choices: list[pl.DataFrame] = [_NO_CHOICES]
    answers: list[pl.DataFrame] = []
    corpus: list[dict[str, object]] = []
    for number, cell in enumerate(cells):
        progress.note = f"{cell.task.name} {cell.language}"
        settings = digest_of(cell.settings | engine.settings)
        shared = {"checkpoint": config.name, "settings": settings}
        if cell.task.generation is not None:
            made = generate_cell(
                engine, identity, cell, config, report, ledger, cache, ends_of_chat
            )
            rows += [one | shared for one in made.rows]
            answers.append(made.answers)
            corpus += made.corpus
            continue
        prepared = waiting[number] or engine.prepare(cell.asked, Ledger())
        waiting[number] = None
        found = engine.answer(prepared, progress)
        progress.before += prepared.num_tokens
        rows += [one | shared for one in score_items(cell.task, cell.items, found)]
        choices.append(_choices(cell, found))
    return Evaluation(
        scores=ScoreTable.from_rows(rows),
        choices=pl.concat(choices),
        answers=pl.concat([pl.DataFrame(schema=ANSWERS_SCHEMA), *answers]),
        corpus=corpus,
        work={
            "tokens_asked": asked,
            "tokens_planned": planned,
            "tokens_computed": engine.work.tokens,
            "passes": engine.work.passes,
            "passes_from_cache": engine.work.cached_passes,
            "scored": engine.work.scored,
            "scored_from_cache": engine.work.cached,
        },
    )


_NO_CHOICES = pl.DataFrame(
    schema={
        "task": pl.String(), "language": pl.String(), "item": pl.String(), "choice": pl.Int32(),
        "answer": pl.Int32(), "log_likelihood": pl.Float64(), "num_tokens": pl.Int64(),
        "greedy": pl.Boolean(), "truncated": pl.Boolean(),
    }
)  # fmt: skip


def _choices(cell: Cell, found: Scores) -> pl.DataFrame:
    places = [(item, k) for item in cell.items for k in range(len(item.choices))]
    return pl.DataFrame(
        {
            "task": [cell.task.label] * len(places),
            "language": [cell.language] * len(places),
            "item": [item.id for item, _ in places],
            "choice": [k for _, k in places],
            "answer": [item.answer for item, _ in places],
            "log_likelihood": found.log_likelihood,
            "num_tokens": found.num_tokens,
            "greedy": found.greedy,
            "truncated": found.truncated,
        },
        schema_overrides={"choice": pl.Int32, "answer": pl.Int32},
    )


@dataclass
class _Progress(Silent):
    """One cell's progress as a part of the whole."""

    report: Reporter
    total: float
    before: float = 0.0
    note: str = ""

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Pass on what is done of everything."""
        self.report.update(self.before + done, self.total, unit, self.note)
