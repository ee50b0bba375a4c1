"""The page of a plan of mixtures: its stages as bars, what it reads, and what it costs.

Drawn from what ``polylect mixture plan`` stored: ``ledger.parquet`` and ``plan.json``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, numbered
from polylect.report.formats import language_cell_of, ledger_section
from polylect.report.mixture_charts import plan_chart
from polylect.report.page import Html, join, section, table_section, tag, write_page


def write_plan_page(
    path: Path, content: Mapping[str, Any], table: pl.DataFrame, counts: Ledger
) -> None:
    """Write ``index.html`` into a folder.

    Args:
        path: the folder.
        content: that of ``plan.json``.
        table: the ledger; see ``mixtures.plan_ledger``.
        counts: what was left out while text was counted.
    """
    joined = pl.when(pl.col("cooldown") == "").then("variant").otherwise(
        pl.concat_str("variant", pl.lit("+"), "cooldown")
    )  # fmt: skip
    frame = table.with_columns(model=joined)
    lead = join([tag("p", line, class_="lead") for line in plan_sentences(content)])
    sections = [
        section(
            "The plan", plan_chart(frame),
            note="A bar is a run, its parts are streams, and a gap begins a new stage. Behind it:"
            " tokens that the model reads, of the first seed.",
        ),
        _stages(frame),
        _texts(frame),
        ledger_section(counts.rows()),
    ]  # fmt: skip
    write_page(path / "index.html", "A plan of mixtures", lead, sections)


def plan_sentences(content: Mapping[str, Any]) -> list[str]:
    """What a plan costs and when it ends, in sentences; ``content`` is that of ``plan.json``."""
    alone, shared = content["tokens"], content["tokens_trained"]
    seeds, runs = len(content["seeds"]), content["num_runs"]
    words = [f"{numbered(runs, 'run')} of {alone:,} tokens; {shared:,} are trained"]
    if shared < alone:
        words[0] += f", as runs that begin alike train their beginning once ({shared / alone:.0%})"
    words[0] += "."
    words.append(f"{numbered(seeds, 'seed')}; a further one: {content['tokens_per_seed']:,}"
                 " tokens.")  # fmt: skip
    rules = []
    if content["stop_at_width"] is not None:
        rules.append("every interval of the main comparisons is at most"
                     f" {content['stop_at_width']:g} points of per cent wide")  # fmt: skip
    if content["most_tokens"] is not None:
        rules.append(f"a further seed would bring all trainings above {content['most_tokens']:,}"
                     " tokens")  # fmt: skip
    ends = f"Seeds end before {seeds} when {', or when '.join(rules)}." if rules else (
        "All seeds are trained: the plan has no stop rule (stop_at_width, most_tokens)."
    )  # fmt: skip
    return [*words, ends, *content["notes"]]


def _stages(frame: pl.DataFrame) -> Html:
    """Tokens of every run by stage and stream, and most passes over a text."""
    first = frame.filter(pl.col("seed") == frame["seed"][0])
    streams = first["stream"].unique(maintain_order=True).to_list()
    rows: list[Sequence[object]] = []
    for (model, scale, _, kind), part in first.group_by(
        ["model", "scale", "stage", "kind"], maintain_order=True
    ):
        tokens = dict(part.group_by("stream").agg(pl.col("tokens").sum()).rows())
        cells = [f"{tokens[name]:,}" if name in tokens else "" for name in streams]
        rows.append([model, f"{scale:g}", kind, *cells, f"{part['epochs'].max():.2f}"])
    head = ["run", "scale", "stage", *streams, "most passes"]
    note = "Tokens of the first seed. Passes: of the language that is read most often."
    return table_section(
        "What every stage reads", head, rows, numbers=range(3, len(head)), note=note
    )


def _texts(frame: pl.DataFrame) -> Html:
    """What is read of every text over all runs, and most passes in a stage."""
    texts = (
        frame.group_by("stream", "language", "source", maintain_order=True)
        .agg(pl.col("tokens").sum(), pl.col("available").first(), pl.col("epochs").max())
        .sort("stream", "language", "source", maintain_order=True)
    )
    rows: list[Sequence[object]] = [
        [row["stream"], language_cell_of(row["language"]), row["source"], f"{row['available']:,}",
         f"{row['tokens']:,}", f"{row['epochs']:.2f}"]
        for row in texts.iter_rows(named=True)
    ]  # fmt: skip
    head = ["stream", "language", "source", "at hand", "read in all runs", "most passes"]
    return table_section("What is read of every text", head, rows, numbers=(3, 4, 5))
