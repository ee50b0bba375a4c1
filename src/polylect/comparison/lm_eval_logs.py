"""Sample logs of lm-evaluation-harness (``--log_samples``) as score tables.

A log is ``samples_TASK_TIME.jsonl``, a line per document and filter. ``results_TIME.json`` beside
it names the model and the number of shots. This reads the format of versions 0.4.x.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from polylect.base import InputError, Ledger, read_text
from polylect.comparison.lm_eval_languages import UNKNOWN, resolve_language
from polylect.rows import ScoreTable, base_name

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[\d\-.:]+)\.jsonl")
_HASH_DIGITS = 12
_HASHES = {"doc": "doc_hash", "prompt": "prompt_hash", "target": "target_hash"}
BY_NUMBER = "paired by number alone: the log has neither documents nor their hashes"


@dataclass(frozen=True)
class Log:
    """A log file.

    Attributes:
        path: the file.
        task: its name.
        time: when it was written, as in the file's name; empty if that has none.
    """

    path: Path
    task: str
    time: str


@dataclass(frozen=True)
class LoggedRun:
    """What the logs of one model hold.

    Attributes:
        table: the rows.
        model: its name, from the results beside the logs or from the folder.
        languages: language of each task, ``und`` where its name has none.
        higher: metrics that the results call better when higher.
        lower: metrics that they call better when lower.
        settings: of the run, from the results.
        ledger: what was left out.
    """

    table: ScoreTable
    model: str
    languages: dict[str, str]
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


def find_logs(path: Path) -> list[Log]:
    """The logs in a folder, or in the only one of its folders that has some; a file is one log.

    Empty if there are none.

    Raises:
        InputError: several folders inside have logs, or a task was logged several times.
    """
    if path.is_file():
        return [_log(path)] if path.suffix == ".jsonl" else []
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    with_logs = [folder for folder in folders if any(folder.glob("samples_*.jsonl"))]
    if path in with_logs:
        with_logs = [path]
    if len(with_logs) > 1:
        names = ", ".join(folder.name for folder in with_logs[:4])
        raise InputError(
            f"{path}: the logs of several models ({names})", f"name one: {with_logs[0]}"
        )
    by_task: dict[str, Log] = {}
    for file in sorted(file for folder in with_logs for file in folder.glob("samples_*.jsonl")):
        log = _log(file)
        if log.task in by_task:
            raise InputError(
                f"{path}: task {log.task!r} was logged more than once"
                f" ({by_task[log.task].path.name}, {log.path.name})",
                "keep one log per task: move the others elsewhere",
            )
        by_task[log.task] = log
    return list(by_task.values())


def _log(path: Path) -> Log:
    match = _NAME.fullmatch(path.name)
    if match:
        return Log(path, match["task"], match["time"])
    return Log(path, path.stem.removeprefix("samples_"), "")


def read_logs(logs: list[Log], name: str, given: Mapping[str, str]) -> LoggedRun:
    """The score table of one model's logs.

    A task is the name without its language, so that translations of a benchmark are one task.
    Items are documents; documents of the same number in several languages of a task are taken as
    translations of one another (which only matters to how intervals are resampled). Settings are
    the hashes of document, prompt and target that the harness logs; where a log lacks them (before
    0.4.3) they are those of what it holds, by the harness's own rule. The ledger counts samples of
    which neither is there: nothing then shows that two models answered the same document.

    Args:
        logs: what ``find_logs`` returned.
        name: name of the checkpoint; empty takes the model's.
        given: languages of tasks whose name has none.

    Raises:
        InputError: a line is not a sample; names the line.
    """
    results = _results(logs)
    model = name or str(results.get("model_name") or logs[0].path.absolute().parent.name)
    if model.startswith((".", "/", "~")):
        model = Path(model).name  # a local model: its path does not belong into a report
    ledger, languages = Ledger(), {}
    rows: list[dict[str, object]] = []
    for log in logs:
        language, task = resolve_language(log.task, given)
        languages[log.task] = language
        samples = list(_samples(log.path))
        filters = {sample.get("filter", "none") for _, sample in samples}
        if language == UNKNOWN:
            ledger.count("language not in the task's name", len(samples), log.task)
        for number, sample in samples:
            settings = _settings(sample, f"{log.path.name}:{number}")
            ledger.count(BY_NUMBER, int("doc=" not in settings), log.task)
            suffix = f"[{sample.get('filter')}]" if len(filters) > 1 else ""
            for metric, value, weight in _values(sample, ledger, log.task):
                chance = _chance(sample) if base_name(metric).startswith("acc") else None
                doc = str(sample["doc_id"])
                rows.append(
                    {
                        "checkpoint": model, "task": task, "language": language, "item": doc,
                        "cluster": f"{task}/{doc}", "metric": metric + suffix, "value": value,
                        "weight": weight, "chance": chance, "settings": settings,
                        "invalid": not math.isfinite(value),
                    }
                )  # fmt: skip
    if not rows:
        raise InputError(
            f"{logs[0].path}: no sample has a metric that is a number", "see the log's 'metrics'"
        )
    directions = [
        direction
        for metrics in results.get("higher_is_better", {}).values()
        for direction in metrics.items()
    ]
    return LoggedRun(
        ScoreTable.from_rows(rows),
        model,
        languages,
        tuple(sorted({metric for metric, higher in directions if higher is True})),
        tuple(sorted({metric for metric, higher in directions if higher is False})),
        _run_settings(results),
        ledger,
    )


def _samples(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not JSON ({error.msg})") from None
        if not isinstance(sample, dict) or "doc_id" not in sample:
            raise InputError(
                f"{path}:{number}: not a sample of lm-evaluation-harness (no doc_id)",
                "give the samples_*.jsonl that --log_samples writes",
            )
        yield number, sample


def _values(
    sample: Mapping[str, Any], ledger: Ledger, task: str
) -> Iterator[tuple[str, float, float]]:
    """Metric, value and weight of every metric that is a number; others go to the ledger."""
    for metric in sample.get("metrics") or _unnamed_metrics(sample):
        value = sample.get(metric)
        if metric == "perplexity" and isinstance(value, int | float) and value <= 0:
            # A sample has the log-likelihood under the name of what the harness makes of the mean.
            ledger.count("read as log_likelihood: perplexity of a sample, 0 or less", 1, task)
            yield "log_likelihood", float(value), 1.0
        elif isinstance(value, bool | int | float):
            yield metric, float(value), 1.0
        elif metric == "bits_per_byte" and _is_bits(value):
            yield metric, -value[0] / math.log(2) / value[1], float(value[1])
        else:
            ledger.count(f"left out: {metric} is not one number an item", 1, task)


def _unnamed_metrics(sample: Mapping[str, Any]) -> list[str]:
    """Metrics of a log before 0.4.5, which lacks their names: every number but the known keys."""
    return [
        key for key, value in sample.items()
        if key not in {"doc_id", "target"} and isinstance(value, bool | int | float)
    ]  # fmt: skip


def _is_bits(value: object) -> TypeGuard[list[float]]:
    """Whether it is the harness's pair for bits per byte: log-likelihood and bytes."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(number, int | float) for number in value)
        and value[1] > 0
    )


def _chance(sample: Mapping[str, Any]) -> float | None:
    """1 / number of choices if the answers are log-likelihoods of choices, else None."""
    answers = sample.get("filtered_resps")
    if not isinstance(answers, list) or len(answers) < 2:
        return None
    if not all(isinstance(answer, list) and len(answer) == 2 for answer in answers):
        return None
    # With mutual information every choice is scored a second time, without the question.
    twice = "acc_mutual_info" in (sample.get("metrics") or sample)
    return 1.0 / (len(answers) // 2 if twice else len(answers))


def _settings(sample: Mapping[str, Any], where: str) -> str:
    hashes = []
    for name, key in _HASHES.items():
        value = sample.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}, not text")
        if value is None and (content := _content(sample, name)) is not None:
            value = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        if value:
            hashes.append(f"{name}={value[:_HASH_DIGITS]}")
    return " ".join(hashes)


def _content(sample: Mapping[str, Any], name: str) -> str | None:
    """The text that the harness hashes for a document, prompt or target; None if it is not there.

    Source: lm-evaluation-harness 0.4.13, ``evaluator.py``.
    """
    if name == "doc" and sample.get("doc") is not None:
        return json.dumps(sample["doc"], indent=2, ensure_ascii=False)
    if name == "target" and sample.get("target") is not None:
        return str(sample["target"])
    arguments = sample.get("arguments")
    if name != "prompt" or not arguments:
        return None
    first = arguments[0] if isinstance(arguments, list) else next(iter(arguments.values()), None)
    if isinstance(first, dict):
        first = [first.get("arg_0")]
    return first[0] if isinstance(first, list) and first and isinstance(first[0], str) else None


def _results(logs: list[Log]) -> dict[str, Any]:
    """The results written with the logs; empty without a results file."""
    for log in logs:
        path = log.path.with_name(f"results_{log.time}.json")
        if log.time and path.is_file():
            try:
                return json.loads(read_text(path))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    return {}


def _run_settings(results: Mapping[str, Any]) -> dict[str, Any]:
    shots = {str(num) for num in results.get("n-shot", {}).values()}
    config = results.get("config", {})
    settings = {
        "lm_eval": results.get("lm_eval_version"),
        "model": results.get("model_name"),
        "model_args": config.get("model_args"),
        "shots": ", ".join(sorted(shots)) or None,
        "limit": config.get("limit"),
        "chat template": results.get("chat_template_sha"),
        "system instruction": results.get("system_instruction"),
    }
    return {key: str(value) for key, value in settings.items() if value is not None}
