"""The page and the terminal table of an evaluation: tasks, languages, intervals, and chance."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.evals import Absent, EvalFolder
from polylect.report.charts import Dot, dot_plot
from polylect.report.formats import (
    interval,
    language_cell_of,
    language_name,
    ledger_section,
    settings_table,
)
from polylect.report.page import Html, section, table, tag, write_page
from polylect.rows import base_name, chance_note, first_metric


def evaluation_summary(folder: EvalFolder) -> str:
    """A line per task and language for the terminal, with a 95 % interval, then the means."""
    tasks = _tasks(folder)
    lines = [f"{'task':<22}{'language':<10}{'metric':<16}{'value':>9}  {'95 % interval':<18}items"]
    for row in (row for _, rows in tasks for row in rows):
        lines.append(
            f"{row['task']:<22}{row['language']:<10}{row['metric']:<16}{row['value']:>9.3f}"
            f"  {_interval(row):<18}{row['items']:<8,}{row['note']}".rstrip()
        )
    for name, rows in tasks:
        if len(rows) > 1:
            mean = sum(row["value"] for row in rows) / len(rows)
            num_guessed = sum(bool(row["note"]) for row in rows)
            guessed = f", {num_guessed} of them not above chance" if num_guessed else ""
            lines.append(f"{name}: mean over {len(rows)} languages {mean:.3f}{guessed}")
    lines += [
        f"{row['task']:<22}{row['language']:<10}{row['metric']:<16}{row['value']:>9.3f}"
        for row in folder.manifest.get("corpus", [])
    ]
    lines += [f"{event} ({where}): {num:,}" for event, where, num in _ledger(folder)]
    lines += absent_lines(folder.manifest)
    return "\n".join([*lines, str(folder.path / "scores.parquet")]) + "\n"


def absent_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each part of a suite that was not at hand, with what would bring it.

    Args:
        manifest: of ``eval.json``; nothing where no suite was asked for.
    """
    suite = manifest.get("suite", {})
    lines = [
        Absent(row["task"], tuple(row["languages"]), row["reason"], row["hint"]).line()
        for row in suite.get("absent", ())
    ]
    return lines + [f"not in the suite: {what}: {how}" for what, how in
                    suite.get("without", {}).items()]  # fmt: skip


def evaluation_rows(folder: EvalFolder) -> list[dict[str, Any]]:
    """A row per task and language, of the task's first metric.

    With value, lower, upper, items, chance (null where guessing has no score) and note (``at
    chance`` where the interval includes it).
    """
    corpus = [
        {"lower": None, "upper": None, "items": None, "chance": None, "note": ""} | row
        for row in folder.manifest.get("corpus", [])
    ]
    return [*(row for _, rows in _tasks(folder) for row in rows), *corpus]


def _interval(row: dict[str, Any]) -> str:
    return interval(row["lower"], row["upper"], ".3f", "too few items")


def write_eval_page(folder: EvalFolder) -> None:
    """Write ``index.html`` beside the scores."""
    manifest = folder.manifest
    lead = tag(
        "p",
        f"{sum(cell['items'] for cell in manifest['asked']):,} items in"
        f" {len({cell['language'] for cell in manifest['asked']})} languages. Intervals are 95 %,"
        " over clusters (a document, a premise), of shares by Wilson's method, for one language at"
        " a time: to say"
        " who gained or paid between two checkpoints, compare them (polylect compare).",
    )
    sections = [_task_section(folder, name, rows) for name, rows in _tasks(folder)]
    corpus = [
        [row["task"], language_cell_of(row["language"]), row["metric"], f"{row['value']:.2f}",
         tag("code", row["signature"])]
        for row in manifest.get("corpus", [])
    ]  # fmt: skip
    if corpus:
        head = ["task", "language", "metric", "value", "signature"]
        note = "Over all sentences of a language together, by the metric's own tool."
        sections.append(section("Whole languages", table(head, corpus, numbers=[3]), note=note))
    engine = manifest["engine"] | {"limit": manifest["limit"], "checkpoint": manifest["checkpoint"]}
    settings = settings_table(engine | manifest["packages"])
    sections += _suite_sections(manifest)
    sections += [ledger_section(_ledger(folder)), section("How it was made", settings)]
    write_page(folder.path / "index.html", f"Evaluation of {manifest['name']}", lead, sections)


def _suite_sections(manifest: Mapping[str, Any]) -> list[Html]:
    """What of a suite was not at hand; nothing where no suite was asked for."""
    suite = manifest.get("suite")
    if suite is None:
        return []
    rows: list[list[object]] = [
        [row["task"], " ".join(row["languages"]), row["reason"], row["hint"]]
        for row in suite["absent"]
    ]
    rows += [[what, "", "no task of the suite", how] for what, how in suite["without"].items()]
    head = ["part", "languages", "what is missing", "what would bring it"]
    note = f"Suite {suite['name']}@{suite['version']}: {suite['source']}."
    return [section("Not at hand", table(head, rows), note=note)]


def _tasks(folder: EvalFolder) -> list[tuple[str, list[dict[str, Any]]]]:
    """The headline metric of each task: rows by language, in the order of the evaluation."""
    asked = folder.manifest["asked"]
    order = {(cell["task"], cell["language"]): i for i, cell in enumerate(asked)}
    tasks = []
    for name in dict.fromkeys(task for task, _ in order):
        scores = folder.scores.only(task=name)
        metrics = set(scores.frame["metric"].unique())
        first = first_metric(name, metrics)
        headline = min(metrics if first is None else {m for m in metrics if base_name(m) == first})
        scores = scores.only(metric=headline)
        rows = scores.interval("task", "language", "metric").to_dicts()
        chance = dict(scores.frame.group_by("language").agg(pl.col("chance").mean()).iter_rows())
        rows.sort(key=lambda row: order[row["task"], row["language"]])
        for row in rows:
            row["chance"] = chance[row["language"]]
            row["note"] = chance_note(row["lower"], row["upper"], row["chance"])
        tasks.append((name, rows))
    return tasks


def _task_section(folder: EvalFolder, name: str, rows: list[dict[str, Any]]) -> Html:
    headline = rows[0]["metric"]
    means = folder.scores.only(task=name).by("language", "metric").to_dicts()
    values = {(row["language"], row["metric"]): row["value"] for row in means}
    others = list(dict.fromkeys(row["metric"] for row in means if row["metric"] != headline))
    dots = [
        (
            language_name(row["language"]),
            [
                Dot(
                    row["value"],
                    row["lower"],
                    row["upper"],
                    0,
                    f"{row['value']:.3f} {row['note']}",
                    hollow=bool(row["note"]),
                )
            ],
        )
        for row in rows
    ]
    chances = sorted({round(row["chance"], 3) for row in rows if row["chance"] is not None})
    note = ""
    if chances:
        note = (
            f"Expected score of guessing: {' to '.join(f'{chance:g}' for chance in chances)}. At"
            " chance: the interval includes it, so that the score is no evidence and ranks nothing."
        )
    head = ["language", headline, "95 % interval", "items", *others]
    body = [
        [
            language_cell_of(row["language"]),
            f"{row['value']:.3f}",
            _with_note(row),
            f"{row['items']:,}",
            *[f"{values[row['language'], metric]:.3f}" for metric in others],
        ]
        for row in rows
    ]
    return section(
        name,
        dot_plot(dots, headline),
        table(head, body, numbers=range(1, len(head))),
        note=note,
    )


def _with_note(row: dict[str, Any]) -> Html:
    note = tag("small", f" {row['note']}") if row["note"] else Html("")
    return tag("span", _interval(row), note)


def _ledger(folder: EvalFolder) -> Iterable[tuple[str, str, int]]:
    return Ledger.from_json(folder.manifest.get("ledger", [])).rows()
