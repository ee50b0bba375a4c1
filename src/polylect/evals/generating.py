"""Tasks of generation: from prompts to answers to rows of scores."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from polylect.base import Ledger, digest_of
from polylect.engine import Journal, Sampling
from polylect.evals.answers import after_thinking
from polylect.evals.config import EvalConfig
from polylect.evals.items import Item
from polylect.evals.pass_at_k import pass_at_k
from polylect.evals.prepared import PreparedTask, sampling_of
from polylect.evals.tasks.task import Generation
from polylect.rows import chance_of_answer
from polylect.runs import Limits, Reporter, run_program
from polylect.text import count_special

if TYPE_CHECKING:
    from polylect.engine import Engine

THINKING = "not scored: thinking before the answer"
"""Ledger event: an answer that begins with <think>…</think>."""
UNENDED = "empty: the thinking did not end"
"""Ledger event: an answer that is nothing but the beginning of a thought."""
_PROGRAM_LIMITS = Limits(seconds=10.0)
_KS = (1, 10, 100)
ANSWERS_SCHEMA: dict[str, pl.DataType] = {
    "task": pl.String(), "language": pl.String(), "item": pl.String(), "sample": pl.Int32(),
    "answer": pl.String(), "num_tokens": pl.Int32(), "stopped": pl.String(),
    "log_likelihood": pl.Float64(), "outcome": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class TaskAnswers:
    """The answers and scores of a task in one language.

    Attributes:
        rows: of the score table, without checkpoint and settings.
        answers: a row per item and sample (``ANSWERS_SCHEMA``); the outcome is a program's.
        corpus: metrics over all answers: task, language, metric, value, signature.
    """

    rows: list[dict[str, object]]
    answers: pl.DataFrame
    corpus: list[dict[str, object]]


def generate_task(
    engine: "Engine",
    identity: str,
    task: PreparedTask,
    config: EvalConfig,
    report: Reporter,
    ledger: Ledger,
    cache: Path | None,
    ends: Collection[int] = (),
) -> TaskAnswers:
    """Answers to all items of a task in one language, and their scores.

    Args:
        engine: the model.
        identity: digest of the weights and of how they are run.
        task: of generation.
        config: of the evaluation.
        report: progress, in answers.
        ledger: counts cut prompts, truncated and empty answers, and fallbacks.
        cache: a folder that keeps finished answers; None keeps nothing.
        ends: tokens that end an answer besides the model's own, such as a chat template's.
    """
    sampling = sampling_of(task.task, task.language, config)
    key = digest_of({"model": identity, "settings": task.settings, "prompts": task.prompts})
    with tempfile.TemporaryDirectory() if cache is None else nullcontext(str(cache)) as folder:
        path = Path(folder) / "answers" / f"{key}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Journal(path) as journal:
            _generate(engine, task, sampling, journal, report, ledger, ends)
            answers = [
                [journal.rows[number, sample] for sample in range(sampling.num_samples)]
                for number in range(len(task.items))
            ]
    return _score(task, answers, ledger)


def _generate(
    engine: "Engine",
    task: PreparedTask,
    sampling: Sampling,
    journal: Journal,
    report: Reporter,
    ledger: Ledger,
    ends: Collection[int],
) -> None:
    from polylect.engine import EMPTY, LENGTH, TokenPrompt

    tokenizer = engine.tokenizer
    add_bos = tokenizer.adds_bos if engine.config.add_bos is None else engine.config.add_bos
    chat = bool(task.settings["chat"])
    begin = np.array([tokenizer.bos_id] if add_bos and not chat else [], np.int32)
    special_tokens = engine.config.special_tokens
    encoded = tokenizer.encode(list(task.prompts), special=chat or special_tokens == "parse")
    if not chat:
        num_special = sum(tokenizer.has_special(prompt) for prompt in task.prompts)
        count_special(num_special, special_tokens, ledger, task.place)
    prompts = [
        TokenPrompt(
            np.concatenate([begin, ids]),
            f"{task.task.name}/{task.language}/{item.id}",
            task.place,
        )
        for item, ids in zip(task.items, encoded, strict=True)
    ]
    prompts = engine.fit(prompts, sampling, ledger)
    missing = journal.missing(len(prompts), sampling.num_samples)
    generated = Ledger()
    engine.generate(
        [prompts[number] for number in missing],
        sampling,
        report,
        generated,
        ends=ends,
        on_answer=lambda position, sample, answer: journal.keep(
            missing[position], sample, answer, generated
        ),
    )
    for row in journal.rows.values():
        ledger.count(LENGTH, int(row["stopped"] == "length"), task.place)
        ledger.count(EMPTY, int(not row["text"].strip()), task.place)
        for event in row["fallbacks"]:
            ledger.count(event, 1, task.place)


def _score(
    task: PreparedTask, answers: Sequence[Sequence[Mapping[str, Any]]], ledger: Ledger
) -> TaskAnswers:
    generation = task.task.generation
    assert generation is not None
    label: dict[str, object] = {"task": task.task.label}
    rows: list[dict[str, object]] = []
    table: list[dict[str, object]] = []
    first: list[str] = []
    for item, samples in zip(task.items, answers, strict=True):
        texts = [_answer(row["text"], task.place, ledger) for row in samples]
        metrics, outcomes = _item_metrics(generation, item, texts)
        first.append(texts[0])
        shared = label | {
            "language": item.language,
            "group": item.group,
            "item": item.id,
            "cluster": item.cluster or item.id,
            "truncated": any(row["stopped"] == "length" for row in samples),
        }
        rows += [
            shared | {"metric": name, "value": value, "chance": chance_of_answer(name)}
            for name, value in metrics.items()
        ]
        table += [
            label
            | {
                "language": task.language,
                "item": item.id,
                "sample": sample,
                "answer": row["text"],
                "num_tokens": row["num_tokens"],
                "stopped": row["stopped"],
                "log_likelihood": row["log_likelihood"],
                "outcome": outcome,
            }
            for sample, (row, outcome) in enumerate(zip(samples, outcomes, strict=True))
        ]
    corpus: list[dict[str, object]] = []
    if generation.corpus is not None:
        corpus = [
            label | {"language": task.language, "metric": score.metric, "value": score.value,
                     "signature": score.signature}
            for score in generation.corpus(task.items, first, ledger)
        ]  # fmt: skip
    return TaskAnswers(rows, pl.DataFrame(table, schema=ANSWERS_SCHEMA), corpus)


def _answer(text: str, place: str, ledger: Ledger) -> str:
    """The part of what a model wrote that is scored: all but its thinking, which is counted."""
    answer = after_thinking(text)
    ledger.count(THINKING, int(answer not in (None, text)), place)
    ledger.count(UNENDED, int(answer is None), place)
    return answer or ""


def _item_metrics(
    generation: Generation, item: Item, texts: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """The metrics of an item over its samples, and the outcome of each program that was run."""
    if generation.program is not None:
        runs = [run_program(generation.program(item, text), _PROGRAM_LIMITS) for text in texts]
        num_passed = sum(run.passed for run in runs)
        ks = [k for k in _KS if k <= len(texts)]
        metrics = {f"pass@{k}": pass_at_k(len(texts), num_passed, k) for k in ks}
        return metrics, [run.reason for run in runs]
    assert generation.score is not None
    scores = [generation.score(item, text) for text in texts]
    means = {name: float(np.mean([values[name] for values in scores])) for name in scores[0]}
    return means, [""] * len(texts)
