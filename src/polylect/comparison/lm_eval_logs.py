"""Sample logs of lm-evaluation-harness (``--log_samples``) as score tables.

A log is ``samples_TASK_TIME.jsonl``, a line per document and filter; beside it lies
``results_TIME.json``, which names the model and the shots. Read as written by 0.4.x.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, read_text
from polylect.comparison.lm_eval_languages import UNKNOWN, resolve
from polylect.comparison.metrics import base_name
from polylect.rows import ScoreTable

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[\d\-.:]+)\.jsonl")
_KEPT = 12
_HASHES = {"doc": "doc_hash", "prompt": "prompt_hash", "target": "target_hash"}


@dataclass(frozen=True)
class Log:
    """One log.

    Attributes:
        path: the file.
        task: its name.
        time: when it was written, as the name has it; empty where the name has none.
    """

    path: Path
    task: str
    time: str


@dataclass(frozen=True)
class Logs:
    """What the logs of one model hold.

    Attributes:
        table: the rows.
        model: its name, from the results beside the logs or from the folder.
        languages: language of each task, ``und`` where it could not be read.
        higher: metrics that the results say are better when higher.
        lower: metrics that they say are better when lower.
        settings: of the run, as the results tell them.
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
    """The logs of a file, a folder, or the one folder inside it that has some; none: empty.

    Raises:
        InputError: several folders inside have logs, or a task was logged several times.
    """
    if path.is_file():
        return [_log(path)] if path.suffix == ".jsonl" else []
    folders = [path, *sorted(one for one in path.iterdir() if one.is_dir())]
    having = [one for one in folders if any(one.glob("samples_*.jsonl"))]
    if path in having:
        having = [path]
    if len(having) > 1:
        names = ", ".join(one.name for one in having[:4])
        raise InputError(f"{path}: the logs of several models ({names})", f"name one: {having[0]}")
    found = [_log(one) for folder in having for one in sorted(folder.glob("samples_*.jsonl"))]
    seen: dict[str, Path] = {}
    for one in found:
        if one.task in seen:
            raise InputError(
                f"{path}: task {one.task!r} was logged more than once"
                f" ({seen[one.task].name}, {one.path.name})",
                "keep one log per task: move the others elsewhere",
            )
        seen[one.task] = one.path
    return found


def _log(path: Path) -> Log:
    match = _NAME.fullmatch(path.name)
    if match:
        return Log(path, match["task"], match["time"])
    return Log(path, path.stem.removeprefix("samples_"), "")


def read_logs(logs: list[Log], name: str, given: Mapping[str, str]) -> Logs:
    """The score table of one model's logs.

    A task is the name without its language, so that translations of a benchmark are one task.
    Items are documents; documents of the same number in the languages of a task are taken as
    translations of one another (which only matters to how intervals are resampled). Settings are
    the hashes of document, prompt and target that the harness logs.

    Args:
        logs: what ``find_logs`` gave.
        name: of the checkpoint; empty takes the model's.
        given: languages of tasks whose name does not tell.

    Raises:
        InputError: a line is not a sample; names the line.
    """
    results = _results(logs)
    model = name or str(results.get("model_name") or logs[0].path.absolute().parent.name)
    if model.startswith((".", "/", "~")):
        model = Path(model).name  # a local model: where it lies is nobody's business
    ledger, languages = Ledger(), {}
    rows: list[dict[str, object]] = []
    for log in logs:
        language, task = resolve(log.task, given)
        languages[log.task] = language
        samples = list(_samples(log.path))
        filters = {one.get("filter", "none") for _, one in samples}
        if language == UNKNOWN:
            ledger.count("language not in the task's name", len(samples), log.task)
        for number, sample in samples:
            suffix = f"[{sample.get('filter')}]" if len(filters) > 1 else ""
            place = f"{log.path.name}:{number}"
            for metric, value, weight in _values(sample, ledger, log.task):
                chance = _chance(sample) if base_name(metric).startswith("acc") else None
                doc = str(sample["doc_id"])
                rows.append(
                    {
                        "checkpoint": model, "task": task, "language": language, "item": doc,
                        "cluster": f"{task}/{doc}", "metric": metric + suffix, "value": value,
                        "weight": weight, "chance": chance, "settings": _settings(sample, place),
                        "invalid": not math.isfinite(value),
                    }
                )  # fmt: skip
    if not rows:
        raise InputError(
            f"{logs[0].path}: no sample has a metric that is a number", "see the log's 'metrics'"
        )
    better = [pair for one in results.get("higher_is_better", {}).values() for pair in one.items()]
    return Logs(
        ScoreTable.from_rows(rows),
        model,
        languages,
        tuple(sorted({metric for metric, higher in better if higher is True})),
        tuple(sorted({metric for metric, higher in better if higher is False})),
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
    """Metric, value and weight of every metric that is a number; the others are counted."""
    for metric in sample.get("metrics") or _metrics_of_old(sample):
        value = sample.get(metric)
        if isinstance(value, bool | int | float):
            yield metric, float(value), 1.0
        elif metric == "bits_per_byte" and isinstance(value, list) and _is_pair(value):
            yield metric, -value[0] / math.log(2) / value[1], float(value[1])
        else:
            ledger.count(f"left out: {metric} is not one number an item", 1, task)


def _metrics_of_old(sample: Mapping[str, Any]) -> list[str]:
    """Logs before 0.4.5 do not name their metrics: what is a number and nothing else known."""
    return [
        key for key, value in sample.items()
        if key not in {"doc_id", "target"} and isinstance(value, bool | int | float)
    ]  # fmt: skip


def _is_pair(value: list[Any]) -> bool:
    """Whether it is what the harness keeps of bits per byte: log-likelihood and bytes."""
    return len(value) == 2 and all(isinstance(one, int | float) for one in value) and value[1] > 0


def _chance(sample: Mapping[str, Any]) -> float | None:
    """One over the number of choices, where the answers are log-likelihoods of choices."""
    answers = sample.get("filtered_resps")
    if not isinstance(answers, list) or len(answers) < 2:
        return None
    if not all(isinstance(one, list) and len(one) == 2 for one in answers):
        return None
    # With mutual information every choice is scored a second time, without the question.
    twice = "acc_mutual_info" in (sample.get("metrics") or sample)
    return 1.0 / (len(answers) // 2 if twice else len(answers))


def _settings(sample: Mapping[str, Any], place: str) -> str:
    found = []
    for name, key in _HASHES.items():
        value = sample.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{place}: {key} is {value!r}, not text")
        if value:
            found.append(f"{name}={value[:_KEPT]}")
    return " ".join(found)


def _results(logs: list[Log]) -> dict[str, Any]:
    """The results file written with the logs; empty where there is none."""
    for log in logs:
        path = log.path.with_name(f"results_{log.time}.json")
        if log.time and path.is_file():
            try:
                return json.loads(read_text(path))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    return {}


def _run_settings(results: Mapping[str, Any]) -> dict[str, Any]:
    shots = {str(one) for one in results.get("n-shot", {}).values()}
    config = results.get("config", {})
    told = {
        "lm_eval": results.get("lm_eval_version"),
        "model": results.get("model_name"),
        "model_args": config.get("model_args"),
        "shots": ", ".join(sorted(shots)) or None,
        "limit": config.get("limit"),
        "chat template": results.get("chat_template_sha"),
        "system instruction": results.get("system_instruction"),
    }
    return {key: str(value) for key, value in told.items() if value is not None}
