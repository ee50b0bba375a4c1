"""The page of a training on examples: curves over the updates, and the share of each language."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylect.base import Ledger, read_json
from polylect.report.charts import curves
from polylect.report.formats import (
    DASH,
    language_cell_of,
    language_name,
    ledger_section,
    settings_table,
)
from polylect.report.page import Html, section, table, write_page

_CURVES = {
    "loss": "loss",
    "accuracy": "share of pairs whose preferred answer has the higher reward",
    "reward": "mean reward of the answers, after the language gate",
    "margin": "difference of the two rewards (for preferences: those that the objective implies)",
    "wrong_language": "share of answers in another language than their prompt",
    "kl": "KL from the reference model in nats per answer, when the answers were generated",
}
_POINTS = 200
_UNITS = ("pairs", "prompts", "tokens")
"""What a row by language counts; means are weighted by it."""


def write_training_page(folder: Path, kind: str) -> Path:
    """Write ``index.html`` beside ``metrics.jsonl``; returns its path.

    Args:
        folder: of the training.
        kind: of training; in the title where there is no objective.
    """
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    manifest = read_json(folder / "step.json")
    config = manifest["config"]
    num_examples = sum(row.get("examples", 0) for row in rows)
    lead = (
        f"{config.get('objective', kind)}: {len(rows):,} updates,"
        + (f" {num_examples:,} examples," if num_examples else "")
        + f" {sum(row['tokens'] for row in rows):,} tokens."
    )
    parts = []
    for key, words in _CURVES.items():
        if key in rows[0]:
            parts.append(section(key.capitalize(), _by_language(rows, key), note=f"{words},"
                                 " smoothed over a tenth of the updates."))  # fmt: skip
    if any("probe" in row for row in rows):
        note = ("Answers to training prompts, sampled at temperature 1, before the first update and"
                " after the last. KL from the starting model in nats per answer; estimated on few"
                " answers, it can come out below 0.")  # fmt: skip
        parts.append(section("What the model says", _probes(rows), note=note))
    parts.append(section("Languages", _languages(rows), note="Means over the last third of the"
                         " updates, each weighted by its examples or tokens."))  # fmt: skip
    mixture = read_json(folder / "mixture.json")
    if kind == "pretrain" or len({(row["stage"], row["source"]) for row in mixture}) > 1:
        parts.append(section("Mixture", _mixture(mixture), note="Shares of each stage,"
                             " known before the training."))  # fmt: skip
    parts.append(ledger_section(Ledger.from_json(manifest["ledger"]).rows()))
    settings = {**config.get("examples", {}), **config["optim"]}
    settings |= {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    parts.append(section("How it was made", settings_table(settings)))
    path = folder / "index.html"
    write_page(path, f"Training: {config.get('objective', kind)}", lead, parts)
    return path


def _by_language(rows: Sequence[Mapping[str, Any]], key: str) -> Html:
    """A curve over all languages, and one for each while there are at most seven."""
    tags = sorted({name for row in rows for name in row["by_language"]})
    known = [row for row in rows if row.get(key) is not None]
    lines = {"all": _smooth([(row["step"], row[key], 1.0) for row in known])}
    if 1 < len(tags) <= 7:
        for label in tags:
            points = [(row["step"], row["by_language"][label]) for row in rows
                      if key in row["by_language"].get(label, ())]  # fmt: skip
            lines[language_name(label)] = _smooth(
                [(at, values[key], _weight(values)) for at, values in points]
            )
    return curves(lines, "updates", key)


def _weight(values: Mapping[str, Any]) -> float:
    return float(next((values[name] for name in _UNITS if name in values), 1))


def _smooth(points: Sequence[tuple[int, float, float]]) -> list[tuple[float, float]]:
    """Running weighted means over a tenth of the points, at most 200 of them."""
    width = max(1, len(points) // 10)
    smoothed: list[tuple[float, float]] = []
    for at in range(0, len(points), max(1, len(points) // _POINTS)):
        part = points[max(0, at - width + 1) : at + 1]
        total = sum(weight for _, _, weight in part)
        smoothed.append((points[at][0], sum(value * weight for _, value, weight in part) / total))
    return smoothed


def _probes(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Wrong language, length and KL by language, before and after."""
    first = rows[0]["probe_start"]["by_language"]
    last = next(row["probe"] for row in reversed(rows) if "probe" in row)["by_language"]
    body = []
    for name in sorted(last):
        before, after = first[name], last[name]
        body.append([
            language_cell_of(name), f"{after['answers']:,}",
            _share(before.get("wrong_language")), _share(after.get("wrong_language")),
            f"{before['answer_tokens']:.0f}", f"{after['answer_tokens']:.0f}",
            f"{before['truncated']:.0%}", f"{after['truncated']:.0%}", f"{after['kl']:.2f}",
        ])  # fmt: skip
    head = ["language", "answers", "other language before", "after", "tokens before", "after",
            "cut before", "after", "KL"]  # fmt: skip
    return table(head, body, numbers=range(1, len(head)))


def _share(value: float | None) -> str:
    """A share of answers in another language; the ledger says why it cannot be told."""
    return "cannot tell" if value is None else f"{value:.0%}"


def _mixture(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Stages, languages and sources, with their share of the stage's tokens."""

    def epochs(row: Mapping[str, Any]) -> str:
        return f"{row['epochs']:.2f}"

    total: dict[int, int] = {}
    for row in rows:
        total[row["stage"]] = total.get(row["stage"], 0) + row["tokens"]
    body = [
        [str(row["stage"]), language_cell_of(row["language"]), row["source"] or DASH,
         f"{row['available']:,}", f"{row['examples']:,}" if "examples" in row else epochs(row),
         f"{row['tokens']:,}", f"{row['tokens'] / total[row['stage']]:.1%}"]
        for row in rows if row["tokens"]
    ]  # fmt: skip
    trained_on = "trained on" if "examples" in rows[0] else "epochs"
    head = ["stage", "language", "source", "available", trained_on, "tokens",
            "share of the stage"]  # fmt: skip
    return table(head, body, numbers=[0, 3, 4, 5, 6])


def _languages(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Means by language over the last third of the updates."""
    last = rows[-max(1, len(rows) // 3) :]
    # A metric that cannot be told in a language is missing there.
    metrics = dict.fromkeys(
        key for row in rows for values in row["by_language"].values() for key in values
    )
    unit = next(name for name in _UNITS if name in metrics)
    keys = [key for key in metrics if key != unit]
    body = []
    for name in sorted({name for row in rows for name in row["by_language"]}):
        latest = [row["by_language"][name] for row in last if name in row["by_language"]]
        count = sum(_weight(row["by_language"][name]) for row in rows if name in row["by_language"])
        cells = [_mean(latest, key) for key in keys]
        body.append([language_cell_of(name), f"{count:,.0f}", *cells])
    head = ["language", unit, *[key.replace("_", " ") for key in keys]]
    return table(head, body, numbers=range(1, len(head)))


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """The mean of a metric over the rows that have it, by their weights."""
    told = [row for row in rows if row.get(key) is not None]
    total = sum(map(_weight, told))
    return f"{sum(row[key] * _weight(row) for row in told) / total:.3f}" if total else DASH
