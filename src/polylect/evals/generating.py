"""Tasks that read what a model writes: from prompts to answers to rows of scores."""

import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from polylect.base import Ledger, digest_of, import_heavy
from polylect.engine import Journal, Likelihood, Sampling
from polylect.evals.items import Item
from polylect.evals.pass_at_k import pass_at_k
from polylect.evals.scorers import Shots, fewshot_prefix, messages
from polylect.evals.tasks.task import Task
from polylect.runs import Limits, Reporter, run_program

if TYPE_CHECKING:
    from polylect.engine import Engine
    from polylect.evals.config import EvalConfig

PROGRAMS_SECONDS = 10.0
_KS = (1, 10, 100)
ANSWERS_SCHEMA: dict[str, pl.DataType] = {
    "task": pl.String(), "language": pl.String(), "item": pl.String(), "sample": pl.Int32(),
    "answer": pl.String(), "num_tokens": pl.Int32(), "stopped": pl.String(),
    "log_likelihood": pl.Float64(), "outcome": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class CellAnswers:
    """The answers and scores of a cell.

    Attributes:
        rows: of the score table, but for checkpoint and settings.
        answers: a row per item and sample (``ANSWERS_SCHEMA``); outcome is that of a program.
        corpus: scores of the cell as a whole: task, language, metric, value, signature.
    """

    rows: list[dict[str, object]]
    answers: pl.DataFrame
    corpus: list[dict[str, object]]


def prompts_of(items: Sequence[Item], shots: Shots, render: Callable[..., str] | None) -> list[str]:
    """What is to be continued for every item: solved examples, then its context; or a chat."""
    found = []
    for item, own in zip(items, shots, strict=True):
        (context,) = set(item.contexts())
        if render is None:
            found.append(fewshot_prefix(own) + context)
        else:
            found.append(render(messages(context, own)))
    return found


def sampling_of(task: Task, language: str, config: "EvalConfig") -> Sampling:
    """How answers are drawn.

    Raises:
        InputError: a number out of its range.
    """
    assert task.generation is not None
    return Sampling(
        max_new_tokens=config.max_new_tokens or task.generation.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop=task.generation.stop(language),
        num_samples=config.num_samples,
    )


def settings_of(task: Task, language: str, config: "EvalConfig") -> dict[str, Any]:
    """What of the generation decides the answers."""
    own = sampling_of(task, language, config)
    return {
        "max_new_tokens": own.max_new_tokens,
        "temperature": own.temperature,
        "top_p": own.top_p,
        "stop": own.stop,
        "num_samples": own.num_samples,
    }


def generate_cell(
    engine: "Engine",
    identity: str,
    cell: "Cell",
    config: "EvalConfig",
    report: Reporter,
    ledger: Ledger,
    cache: Path | None,
    ends: Collection[int] = (),
) -> CellAnswers:
    """Answers to all items of a cell, and their scores.

    Args:
        engine: the model.
        identity: digest of the weights and of how they are run.
        cell: of a task of generation.
        config: of the evaluation.
        report: told the answers.
        ledger: counts cut prompts, truncated and empty answers, and fallbacks.
        cache: a folder that keeps finished answers; None keeps nothing.
        ends: tokens that end an answer besides the model's own: those of a chat template.
    """
    sampling = sampling_of(cell.task, cell.language, config)
    key = digest_of({"model": identity, "settings": cell.settings, "prompts": cell.prompts})
    folder = tempfile.TemporaryDirectory() if cache is None else nullcontext(str(cache))
    with folder as place:
        (Path(place) / "answers").mkdir(parents=True, exist_ok=True)
        with Journal(Path(place) / "answers" / f"{key}.jsonl") as journal:
            _answer(engine, cell, sampling, journal, report, ledger, ends)
            found = [
                [journal.rows[number, sample] for sample in range(sampling.num_samples)]
                for number in range(len(cell.items))
            ]
    return _score(cell, found, ledger)


def _answer(
    engine: "Engine",
    cell: "Cell",
    sampling: Sampling,
    journal: Journal,
    report: Reporter,
    ledger: Ledger,
    ends: Collection[int],
) -> None:
    token_prompt = import_heavy("polylect.engine.generator").TokenPrompt
    tokenizer = engine.tokenizer
    add_bos = tokenizer.adds_bos if engine.config.add_bos is None else engine.config.add_bos
    chat = bool(cell.settings["chat"])
    begin = [tokenizer.bos_id] if add_bos and not chat else []
    where = f"{cell.task.name} {cell.language}"
    asked = [
        token_prompt(
            np.concatenate([np.array(begin, np.int32), ids]),
            f"{cell.task.name}/{cell.language}/{item.id}",
            where,
        )
        for item, ids in zip(
            cell.items, tokenizer.encode(list(cell.prompts), special=chat), strict=True
        )
    ]
    fitting = engine.fit(asked, sampling, ledger)
    missing = journal.missing(len(asked), sampling.num_samples)
    heard = Ledger()

    def keep(place: int, sample: int, answer: Any) -> None:
        journal.keep(missing[place], sample, answer, heard)

    engine.generate(
        [fitting[number] for number in missing],
        sampling,
        report,
        heard,
        ends=ends,
        on_answer=keep,
    )
    module = import_heavy("polylect.engine.generator")
    for row in journal.rows.values():
        ledger.count(module.LENGTH, int(row["stopped"] == "length"), where)
        ledger.count(module.EMPTY, int(not row["text"].strip()), where)
        for event in row["fallbacks"]:
            ledger.count(event, 1, where)


def _score(cell: "Cell", found: Sequence[Sequence[Any]], ledger: Ledger) -> CellAnswers:
    task = cell.task
    how = task.generation
    assert how is not None
    rows: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    for item, own in zip(cell.items, found, strict=True):
        outcomes = [""] * len(own)
        if how.program is not None:
            ran = [run_program(how.program(item, one["text"]), _limits()) for one in own]
            outcomes = [one.reason for one in ran]
            passed = sum(one.passed for one in ran)
            values = {f"pass@{k}": pass_at_k(len(own), passed, k) for k in _KS if k <= len(own)}
        else:
            assert how.score is not None
            each = [how.score(item, one["text"]) for one in own]
            values = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        for metric, value in values.items():
            rows.append(
                {
                    "task": task.label,
                    "language": item.language,
                    "group": item.group,
                    "item": item.id,
                    "cluster": item.cluster or item.id,
                    "metric": metric,
                    "value": value,
                    "truncated": any(one["stopped"] == "length" for one in own),
                }
            )
        answers += [
            {
                "task": task.label,
                "language": cell.language,
                "item": item.id,
                "sample": sample,
                "answer": one["text"],
                "num_tokens": one["num_tokens"],
                "stopped": one["stopped"],
                "log_likelihood": one["log_likelihood"],
                "outcome": outcome,
            }
            for sample, (one, outcome) in enumerate(zip(own, outcomes, strict=True))
        ]
    corpus: list[dict[str, object]] = []
    if how.corpus is not None:
        for one in how.corpus(cell.items, [own[0]["text"] for own in found], ledger):
            named: dict[str, object] = {"task": task.label, "language": cell.language}
            corpus.append(
                named | {"metric": one.metric, "value": one.value, "signature": one.signature}
            )
    return CellAnswers(rows, pl.DataFrame(answers, schema=ANSWERS_SCHEMA), corpus)


def _limits() -> Limits:
    return Limits(seconds=PROGRAMS_SECONDS)


@dataclass(frozen=True)
class Cell:
    """One task in one language: what will be asked.

    Attributes:
        task: the task.
        language: tag.
        items: what is scored, in order.
        asked: the requests of all choices of all items, in order.
        settings: all that decides what is asked, but for the model and its tokenizer.
        prompts: of a task of generation, what is to be continued for every item; it asks nothing
            else.
    """

    task: Task
    language: str
    items: tuple[Item, ...] = field(repr=False)
    asked: tuple[Likelihood, ...] = field(repr=False)
    settings: dict[str, Any] = field(hash=False, repr=False)
    prompts: tuple[str, ...] = field(default=(), repr=False)

    def only(self, keep: Callable[[Item], bool]) -> "Cell":
        """The cell with the items that are kept; the others are examples at most."""
        items: list[Item] = []
        asked: list[Likelihood] = []
        place = 0
        for item in self.items:
            num = len(item.choices)
            if keep(item):
                items.append(item)
                asked += self.asked[place : place + num]
            place += num
        return replace(self, items=tuple(items), asked=tuple(asked))
