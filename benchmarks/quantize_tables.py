"""The tables of benchmarks/logs/quantize.md from the runs of quantize_study.py, in Markdown.

    python benchmarks/quantize_tables.py runs/quant/run [runs/quant-1/run runs/quant-2/run]

    python benchmarks/quantize_tables.py page runs/quant/run benchmarks/pages/quantize-study.html

Further runs differ in the seed of the calibration: what they found stands beside the first's, in
square brackets. ``page`` copies a run's page without its links into the run.
"""

import re
import sys
from pathlib import Path

import polars as pl

from polylect.base import read_json
from polylect.report import relative_change, verdict_of_change
from polylect.runs import read_run

LATIN, REST = "Latin script, Indo-European", "all other languages"
WORD = {"paid": " **pays**", "gained": " **better**", "not separable": ""}


def main() -> None:
    if sys.argv[1] == "page":
        page = (Path(sys.argv[2]) / "index.html").read_text("utf-8")
        Path(sys.argv[3]).write_text(
            re.sub(r'<a href="(?!https?:|#)[^"]*">(.*?)</a>', r"\1", page), "utf-8"
        )
        return
    runs = [Run(Path(one)) for one in sys.argv[1:]]
    first = runs[0]
    for metric in first.metrics:
        print(f"\n### {metric}\n")
        schemes(first, runs[1:], metric)
        contrasts(first, runs[1:], metric)
        kinds(first, metric)
        by_task(first, metric)
    divergence(first)


class Run:
    """What a study found."""

    def __init__(self, path: Path) -> None:
        folder = path / read_run(path)["steps"]["damage"]["folder"]
        self.found = read_json(folder / "damage.json")
        self.groups, self.languages, self.cells = (
            pl.read_parquet(folder / f"{one}.parquet") for one in ("groups", "languages", "cells")
        )
        self.gaps = {
            (row["metric"], row["before"], row["after"]): row
            for row in pl.read_parquet(folder / "gaps.parquet").iter_rows(named=True)
        }
        self.metrics = sorted(self.groups["metric"].unique())

    def group(self, metric: str, before: str, after: str) -> dict:
        own = self.groups.filter(
            (pl.col("metric") == metric) & (pl.col("before") == before) & (pl.col("after") == after)
        )
        return {(row["kind"], row["group"]): row for row in own.iter_rows(named=True)}


def told(row: dict | None, others: list[dict | None] = ()) -> str:
    found = relative_change(row) if row is not None else None
    if found is None:
        return "–"
    seeds = [relative_change(one) for one in others if one is not None]
    beside = f" [{', '.join(f'{one[0]:+.2f}' for one in seeds if one)}]" if seeds else ""
    word = WORD[verdict_of_change(found)]
    return f"{found[0]:+.2f} ({found[1]:+.2f} to {found[2]:+.2f}){beside}{word}"


def gap(row: dict | None, others: list[dict | None] = ()) -> str:
    if row is None:
        return "–"
    value, lower, upper = (100 * row[key] for key in
                           ("relative", "relative_lower", "relative_upper"))  # fmt: skip
    seeds = [f"{100 * one['relative']:+.2f}" for one in others if one is not None]
    beside = f" [{', '.join(seeds)}]" if seeds else ""
    return f"{value:+.2f} ({lower:+.2f} to {upper:+.2f}){beside}{WORD[row['verdict']]}"


def whole(rows: dict) -> dict | None:
    return next((row for (kind, _), row in rows.items() if kind == "all"), None)


def schemes(first: Run, others: list[Run], metric: str) -> None:
    print(f"| scheme | MB | all | {LATIN} | the rest | gap | worst-hurt | least hurt | pay |")
    print("|---|---|---|---|---|---|---|---|---|")
    for one in first.found["variants"]:
        label = one["label"]
        rows = first.group(metric, "full", label)
        beside = [run.group(metric, "full", label) for run in others]
        own = first.languages.filter(
            (pl.col("metric") == metric) & (pl.col("what") == "damage")
            & (pl.col("after") == label)
        )  # fmt: skip
        ranked = sorted(
            (
                (relative_change(row), row["language"])
                for row in own.iter_rows(named=True)
                if relative_change(row)
            ),
            key=lambda pair: pair[0][0],
        )
        paying = sum(verdict_of_change(pair[0]) == "paid" for pair in ranked)
        worst, best = ranked[0], ranked[-1]
        cells = [
            label, f"{one['bytes'] / 1e6:.2f}",
            told(whole(rows), [whole(r) for r in beside]),
            told(rows.get(("latin-ie", LATIN)), [r.get(("latin-ie", LATIN)) for r in beside]),
            told(rows.get(("latin-ie", REST)), [r.get(("latin-ie", REST)) for r in beside]),
            gap(first.gaps.get((metric, "full", label)),
                [run.gaps.get((metric, "full", label)) for run in others]),
            f"{worst[1]} {worst[0][0]:+.2f}", f"{best[1]} {best[0][0]:+.2f}", str(paying),
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


def contrasts(first: Run, others: list[Run], metric: str) -> None:
    print(f"\n| changed | all | {LATIN} | the rest | gap |\n|---|---|---|---|---|")
    for one in first.found["told"]:
        if one["what"] == "damage":
            continue
        rows = first.group(metric, one["before"], one["after"])
        beside = [run.group(metric, one["before"], one["after"]) for run in others]
        cells = [
            one["what"], told(whole(rows), [whole(r) for r in beside]),
            *[told(rows.get(("latin-ie", name)), [r.get(("latin-ie", name)) for r in beside])
              for name in (LATIN, REST)],
            gap(first.gaps.get((metric, one["before"], one["after"])),
                [run.gaps.get((metric, one["before"], one["after"])) for run in others]),
        ]  # fmt: skip
        print("| " + " | ".join(cells).replace("**pays**", "**worse**") + " |")


def kinds(first: Run, metric: str) -> None:
    """Script and family apart, of the schemes that round hardest."""
    for kind in ("script", "family"):
        own = first.groups.filter((pl.col("metric") == metric) & (pl.col("kind") == kind))
        names = sorted(own["group"].unique())
        print(f"\n| {kind} | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
        for one in first.found["variants"]:
            rows = first.group(metric, "full", one["label"])
            values = [
                relative_change(rows[kind, name]) if (kind, name) in rows else None
                for name in names
            ]
            print(f"| {one['label']} | "
                  + " | ".join(f"{v[0]:+.2f}" if v else "–" for v in values) + " |")  # fmt: skip


def by_task(first: Run, metric: str) -> None:
    own = first.cells.filter((pl.col("metric") == metric) & (pl.col("what") == "damage"))
    tasks = sorted(own["task"].unique())
    print("\n| mean over languages | " + " | ".join(tasks) + " |\n|---" + "|---" * len(tasks) + "|")
    for one in first.found["variants"]:
        cells = []
        for task in tasks:
            part = own.filter((pl.col("after") == one["label"]) & (pl.col("task") == task))
            values = [relative_change(row) for row in part.iter_rows(named=True)]
            values = [value[0] for value in values if value]
            cells.append(f"{sum(values) / len(values):+.2f}" if values else "–")
        print(f"| {one['label']} | " + " | ".join(cells) + " |")


def divergence(first: Run) -> None:
    tags = sorted({row["language"] for one in first.found["variants"] for row in one["damage"]})
    print("\n### Divergence, thousandths of a bit per token\n")
    print("| scheme | " + " | ".join(tags) + " |\n|---" + "|---" * len(tags) + "|")
    for one in first.found["variants"]:
        by = {row["language"]: row["divergence_bits"] for row in one["damage"]}
        print(
            f"| {one['label']} | "
            + " | ".join(f"{1000 * by[tag]:.2f}" if tag in by else "–" for tag in tags)
            + " |"
        )


if __name__ == "__main__":
    main()
