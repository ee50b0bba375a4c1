"""``evaluate``: score a checkpoint on tasks, language by language."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.api.models import EngineOptions, datasets_folder
from polylect.api.results import Plan, Result, out_folder, run_call
from polylect.api.tags import note_readings
from polylect.api.verbs import verb
from polylect.api.without_effect import GREEDY, for_each, refuse_without_effect
from polylect.base import Count, CountOrZero, InputError, NonNegative, NumSamples, Range

if TYPE_CHECKING:
    import polars

    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.evals import EvalConfig, EvalFolder, PreparedTask
    from polylect.runs import StepContext


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Score a checkpoint on tasks, language by language.

    Writes scores.parquet, eval.json and index.html. Two evaluations are compared by 'polylect
    compare'.

    Examples:
        polylect eval base --tasks xcopa --languages et,ht
        polylect eval base --tasks xcopa belebele --limit 100 --out runs/base
        polylect eval base --tasks my-items.jsonl --json
        polylect eval base --suite aya23 --datasets data --out runs/aya23
    """

    model: Positional[Path]
    """A folder in Hugging Face layout, with its tokenizer."""
    tasks: Annotated[tuple[str, ...], Mark(takes_tables=True)] = ()
    """Tasks by name ('polylect tasks' lists them), or JSON-lines files with id, language, context,
    choices and answer (from 0)."""
    suite: str = ""
    """In place of --tasks: a list of tasks with their shots and languages ('polylect tasks
    --suites'). What of it is not at hand is named; the rest runs."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of each task."""
    limit: Count | None = None
    """Only the first items of each language. Default: all."""
    shots: CountOrZero = 0
    """Number of solved examples before every item."""
    datasets: Path | None = None
    """Folder with one folder per dataset. Default: POLYLECT_DATA."""
    hub: Switch = False
    """Download datasets that --datasets does not have."""
    chat: Switch = False
    """Write prompts with the model's chat template."""
    num_samples: NumSamples = 1
    """Answers per prompt of a generation task, for pass@k."""
    temperature: NonNegative = 0.0
    """Sampling temperature of generation tasks; 0 is greedy."""
    top_p: Annotated[float, Range(above=0, at_most=1)] = 1.0
    """Keep the fewest most likely tokens whose probability reaches this (nucleus)."""
    max_new_tokens: Count | None = None
    """Longest answer to a generation task, in tokens. Default: the task's own limit."""
    max_tokens: Count | None = None
    """Longest input in tokens. Default: the model's own limit."""
    add_bos: Literal["tokenizer", "always", "never"] = "tokenizer"
    """Whether prompts begin with the BOS token; tokenizer follows the tokenizer's rule."""
    border: Literal["context", "lm-eval"] = "context"
    """Where a token would span prompt and choice (scripts without spaces): context encodes the two
    apart and counts it; lm-eval repeats the harness's rule, which leaves a part of the choice
    out."""
    name: str | None = None
    """Name of the model in the rows. Default: its folder's name."""
    cache: Path | None = None
    """Folder of the response cache. Default: OUT-cache, beside --out."""
    engine: Group[EngineOptions] = field(default_factory=EngineOptions)
    output: Group[Output] = field(default_factory=Output)


class Evaluation(Result):
    """Scores of a checkpoint: rows of task, language, metric, value, lower, upper, items …"""

    @cached_property
    def folder(self) -> "EvalFolder":
        """The scores of every item, and what was asked."""
        from polylect.evals import EvalFolder

        return EvalFolder.read(self.path)

    def table(self) -> "polars.DataFrame":
        """A row per task and language, of the task's first metric, with a 95 % interval.

        ``chance`` is the expected score of guessing, null where it has none; ``note`` says "at
        chance" where the interval includes it.
        """
        import polars

        from polylect.report import evaluation_rows

        rows = [
            {name: row[name] for name in _COLUMNS} for row in evaluation_rows(self.folder)
        ]  # fmt: skip
        return polars.DataFrame(rows, schema=_COLUMNS)

    def lines(self) -> list[str]:
        """A line per task and language, the means, and what was counted."""
        from polylect.report import evaluation_summary

        return evaluation_summary(self.folder).splitlines()


_COLUMNS: dict[str, Any] = {
    "task": str, "language": str, "metric": str, "value": float, "lower": float, "upper": float,
    "items": int, "chance": float, "note": str,
}  # fmt: skip


@verb("eval", EvaluateOptions)
def evaluate(options: EvaluateOptions) -> Evaluation | Plan:
    """Score a checkpoint on tasks, language by language.

    Returns an ``Evaluation``: ``.table()`` has a row per task and language with a 95 % interval.

        base = pl.evaluate("base", tasks=["xcopa"], languages=["et", "ht"])
        base.table()
    """
    note_readings(options.languages, "--languages")
    if options.hub:
        # huggingface_hub reads this when it is imported.
        os.environ["HF_HUB_OFFLINE"] = "0"
    from polylect.base import Ledger
    from polylect.checkpoints import Checkpoint
    from polylect.evals import (
        describe_evaluation,
        described_suite,
        evaluate,
        find_suite,
        prepare_suite,
        prepare_tasks,
        save_evaluation,
    )
    from polylect.report import write_eval_page
    from polylect.runs import Call, Step, headline

    _refuse_two_lists(options)
    config = _config(options)
    checkpoint = Checkpoint.open(options.model)
    ledger = Ledger()
    suite: dict[str, Any] = {}
    if options.suite:
        chosen = find_suite(options.suite)
        tasks, absent = prepare_suite(chosen, config, checkpoint, ledger)
        suite = {"suite": described_suite(chosen, absent)}
    else:
        tasks = prepare_tasks(config, checkpoint, ledger)
    _refuse_without_effect(options, tasks)
    description = describe_evaluation(tasks, checkpoint, config) | suite

    def write(_: object, inputs: object, context: "StepContext") -> None:
        context.ledger.add(ledger)
        cache = options.cache or out.with_name(f"{out.name}-cache")
        evaluation = evaluate(tasks, checkpoint, config, context.report, context.ledger, cache)
        folder = save_evaluation(context, description, evaluation)
        write_eval_page(folder)
        headline(_headline(folder))

    # Tasks by name: an error can then say which of them differs, and in what.
    by_name = {f"{task['task']} {task['language']}": task for task in description["asked"]}
    settings = {**description, "asked": by_name}
    del settings["checkpoint"]
    call = Call(Step("polylect eval", 3, write), "eval", settings, {"checkpoint": checkpoint})
    out = out_folder(options.output, "eval", call.key)
    return run_call(
        call,
        options.output,
        "eval",
        Evaluation,
        lambda _: _plan(tasks, checkpoint, config, ledger, suite),
    )


def _refuse_two_lists(options: EvaluateOptions) -> None:
    """Take exactly one of tasks and suite; a suite has shots of its own.

    Raises:
        InputError: none or both are given, or shots beside a suite.
    """
    if bool(options.tasks) == bool(options.suite):
        given = "both --tasks and --suite" if options.suite else "neither --tasks nor --suite"
        raise InputError(
            f"eval: {given}", "--tasks NAME,NAME or --suite NAME; 'polylect tasks' lists them"
        )
    if options.suite:
        reasons = for_each(["shots"], "a suite has shots of its own", "leave it out")
        refuse_without_effect("eval", options, reasons)


def _refuse_without_effect(options: EvaluateOptions, tasks: "Sequence[PreparedTask]") -> None:
    """Refuse options of a kind of task that none of the tasks is.

    Raises:
        InputError: names the option.
    """
    if not any(task.prompts for task in tasks):
        generating = ("num_samples", "temperature", "top_p", "max_new_tokens")
        reason = "the choices of these tasks are scored, no answer is generated"
        refuse_without_effect("eval", options, for_each(generating, reason, "leave it out"))
    elif options.temperature == 0:
        refuse_without_effect("eval", options, GREEDY)
    if all(task.prompts for task in tasks):
        reasons = for_each(["border"], "these tasks are answered, no choice is scored",
                           "leave it out")  # fmt: skip
        refuse_without_effect("eval", options, reasons)


def _headline(folder: "EvalFolder") -> str:
    """The mean of the first task over its languages, in words."""
    from polylect.report import evaluation_rows

    rows = evaluation_rows(folder)
    if not rows:
        return ""
    first = [row for row in rows if row["task"] == rows[0]["task"]]
    mean = sum(row["value"] for row in first) / len(first)
    num = f"{len(first)} languages" if len(first) > 1 else first[0]["language"]
    return f"{first[0]['task']} {first[0]['metric']} {mean:.3f} ({num})"


def _config(options: EvaluateOptions) -> "EvalConfig":
    """The configuration that options stand for."""
    from polylect.evals import EvalConfig

    add_bos = {"tokenizer": None, "always": True, "never": False}[options.add_bos]
    return EvalConfig(
        name=options.name or options.model.resolve().name,
        tasks=options.tasks,
        languages=options.languages,
        limit=options.limit,
        shots=options.shots,
        chat=options.chat,
        data=datasets_folder(options.datasets),
        hub=options.hub,
        num_samples=options.num_samples,
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        engine=options.engine.config(
            max_tokens=options.max_tokens, add_bos=add_bos, border=options.border
        ),
    )


def _plan(
    tasks: "Sequence[PreparedTask]",
    checkpoint: "Checkpoint",
    config: "EvalConfig",
    ledger: "Ledger",
    suite: Mapping[str, Any],
) -> list[str]:
    """What would be asked: items, requests and tokens, with and without shared prefixes.

    Raises:
        InputError: what the evaluation itself would refuse before its first pass.
    """
    from polylect.base import Ledger
    from polylect.engine import (
        encode_requests,
        max_input_tokens,
        plan_passes,
        room_for_prompt,
        stated_limit,
    )
    from polylect.models import check_language_model
    from polylect.report import absent_lines
    from polylect.text import Tokenizer

    check_language_model(checkpoint)
    tokenizer = Tokenizer.load(checkpoint.path).within(checkpoint.stated_rows)
    add_bos = tokenizer.adds_bos if config.engine.add_bos is None else config.engine.add_bos
    lines = [
        f"{'task':<24}{'language':<10}{'items':>8}{'requests':>10}{'tokens':>12}{'shared':>12}"
    ]
    separate_total = shared_total = 0
    max_tokens = max_input_tokens(config.engine, stated_limit(checkpoint.config))
    parses = config.engine.special_tokens == "parse"
    for task in tasks:
        begin = f"{task.task.name:<24}{task.language:<10}{len(task.items):>8,}"
        if task.prompts:
            encoded = tokenizer.encode(list(task.prompts), special=config.chat or parses)
            lengths = [len(ids) for ids in encoded]
            longest = task.settings["max_new_tokens"]
            num_begin = int(add_bos and not config.chat)
            for item, length in zip(task.items, lengths, strict=True):
                name = f"{task.task.name}/{task.language}/{item.id}"
                room_for_prompt(name, num_begin + length, longest, max_tokens, config.engine)
            num_answers = len(lengths) * task.settings["num_samples"]
            most = num_answers * task.settings["max_new_tokens"]
            lines.append(f"{begin}{num_answers:>10,}{sum(lengths):>12,}  and at most {most:,} new")
            continue
        counts = Ledger()
        requests = encode_requests(
            tokenizer,
            task.requests,
            add_bos=add_bos,
            max_tokens=max_tokens,
            over_long=config.engine.over_long,
            ledger=counts,
            border=config.engine.border,
            special_tokens=config.engine.special_tokens,
        )
        for event, _, num in counts.rows():
            ledger.count(event, num, task.place)
        separate = sum(len(request.input_ids()) for request in requests)
        shared = plan_passes(requests, 1 << 30).num_tokens
        separate_total, shared_total = separate_total + separate, shared_total + shared
        lines.append(f"{begin}{len(task.requests):>10,}{separate:>12,}{shared:>12,}")
    lines.append(
        f"{separate_total:,} tokens as separate passes, {shared_total:,} with shared prefixes"
    )
    lines += [f"{event}: {num}" for event, num in ledger.by_event().items()]
    return [*lines, *absent_lines(suite)]
