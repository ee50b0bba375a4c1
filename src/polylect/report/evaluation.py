"""The page and the terminal table of one evaluation: tasks, languages, intervals, and chance."""

import math
from typing import Any

import polars as pl

from polylect.evals import EvalFolder
from polylect.report.charts import Dot, dot_plot
from polylect.report.folder import cell_of, language_of
from polylect.report.page import Html, join, section, table, tag, write_page

HEADLINE = (
    "acc", "exact_match", "pass@1", "chrf", "bits_per_byte", "bits", "log_likelihood",
)  # fmt: skip
"""Metrics that may stand for a task, the first that it has."""


def evaluation_summary(found: EvalFolder) -> str:
    """A line per task and language for the terminal, with a 95 % interval, then the means."""
    rows = [row for _, part in _tasks(found) for row in part]
    lines = [f"{'task':<22}{'language':<10}{'metric':<16}{'value':>9}  {'95 % interval':<18}items"]
    for row in rows:
        between = _between(row)
        lines.append(
            f"{row['task']:<22}{row['language']:<10}{row['metric']:<16}{row['value']:>9.3f}"
            f"  {between:<18}{row['items']:,}"
        )
    for name, part in _tasks(found):
        mean = sum(row["value"] for row in part) / len(part)
        if len(part) > 1:
            lines.append(f"{name}: mean over {len(part)} languages {mean:.3f}")
    lines += [
        f"{one['task']:<22}{one['language']:<10}{one['metric']:<16}{one['value']:>9.3f}"
        for one in found.manifest.get("corpus", [])
    ]
    lines += [f"{one['event']} ({one['where']}): {one['count']:,}" for one in _ledger(found)]
    return "\n".join([*lines, str(found.path / "scores.parquet")]) + "\n"


def _between(row: dict[str, Any]) -> str:
    """The interval in words; too few clusters have none."""
    if not math.isfinite(row["upper"] - row["lower"]):
        return "too few items"
    return f"{row['lower']:.3f} to {row['upper']:.3f}"


def write_eval_page(found: EvalFolder) -> None:
    """Write ``index.html`` beside the scores."""
    manifest = found.manifest
    lead = tag(
        "p",
        f"{sum(one['items'] for one in manifest['asked']):,} items in"
        f" {len({one['language'] for one in manifest['asked']})} languages. Intervals are 95 %,"
        " by bootstrap over clusters (a document, a premise), one language at a time: to say who"
        " gained or paid between two checkpoints, compare them (polylect compare).",
    )
    parts = [_task_section(found, name, rows) for name, rows in _tasks(found)]
    whole = manifest.get("corpus", [])
    if whole:
        head = ["task", "language", "metric", "value", "signature"]
        listed = [
            [one["task"], cell_of(one["language"]), one["metric"], f"{one['value']:.2f}",
             tag("code", one["signature"])]
            for one in whole
        ]  # fmt: skip
        note = "Of all sentences of a language together, by the metric's own tool."
        parts.append(section("Whole languages", table(head, listed, numbers=[3]), note=note))
    counted = [[one["event"], one["where"], f"{one['count']:,}"] for one in _ledger(found)]
    if counted:
        head = ["what", "where", "how often"]
        parts.append(section("Counted", table(head, counted, numbers=[2])))
    parts.append(section("How it was made", _settings(manifest)))
    write_page(found.path / "index.html", f"Evaluation of {manifest['name']}", lead, parts)


def _tasks(found: EvalFolder) -> list[tuple[str, list[dict[str, Any]]]]:
    """The headline metric of each task: rows by language, in the order in which they were asked."""
    scores = found.scores
    order = {(one["task"], one["language"]): i for i, one in enumerate(found.manifest["asked"])}
    result = []
    for name in dict.fromkeys(task for task, _ in order):
        own = scores.only(task=name)
        metrics = set(own.frame["metric"].unique())
        metric = next(one for one in HEADLINE if one in metrics)
        rows = own.only(metric=metric).interval("task", "language", "metric")
        chance = dict(
            own.only(metric=metric)
            .frame.group_by("language")
            .agg(pl.col("chance").mean())
            .iter_rows()
        )
        listed = sorted(
            rows.iter_rows(named=True), key=lambda row: order[row["task"], row["language"]]
        )
        result.append((name, [row | {"chance": chance[row["language"]]} for row in listed]))
    return result


def _task_section(found: EvalFolder, name: str, rows: list[dict[str, Any]]) -> Html:
    metric = rows[0]["metric"]
    every = found.scores.only(task=name).by("language", "metric")
    values = {(row["language"], row["metric"]): row["value"] for row in every.iter_rows(named=True)}
    others = [one for one in dict.fromkeys(every["metric"].to_list()) if one != metric]
    dots = [
        (
            language_of(row["language"]).name,
            [Dot(row["value"], row["lower"], row["upper"], 0, f"{row['value']:.3f}")],
        )
        for row in rows
    ]
    chances = sorted({round(row["chance"], 3) for row in rows if row["chance"] is not None})
    note = ""
    if chances:
        note = f"Guessing is expected to have {' to '.join(f'{one:g}' for one in chances)}."
    head = ["language", metric, "95 % interval", "items", *others]
    body = [
        [
            cell_of(row["language"]),
            f"{row['value']:.3f}",
            _between(row),
            f"{row['items']:,}",
            *[f"{values[row['language'], one]:.3f}" for one in others],
        ]
        for row in rows
    ]
    return section(
        name,
        dot_plot(dots, metric),
        table(head, body, numbers=range(1, len(head))),
        note=note,
    )


def _ledger(found: EvalFolder) -> list[dict[str, Any]]:
    return found.manifest.get("ledger", [])


def _settings(manifest: dict[str, Any]) -> Html:
    engine = manifest["engine"] | {"limit": manifest["limit"], "checkpoint": manifest["checkpoint"]}
    rows = [[name, tag("code", str(value))] for name, value in engine.items()]
    rows += [[name, tag("code", value)] for name, value in manifest["packages"].items()]
    return join([table(["setting", "value"], rows)])
