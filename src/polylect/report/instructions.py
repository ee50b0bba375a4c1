"""The page of weighted instructions: the mixtures as bars, what each does to every language."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylect.base import read_json
from polylect.comparison import GAINED, PAID
from polylect.report.folder import Folder
from polylect.report.formats import language_cell_of, language_of
from polylect.report.heatmaps import heat_map
from polylect.report.lifecycle import ledger, manifests
from polylect.report.mixture_charts import plan_chart
from polylect.report.mixtures import bits_section, claims, payers, seeds_note
from polylect.report.page import Html, join, section, table_section, tag, write_page

_START = "start"


def write_instructions_page(path: Path, name: str) -> Path:
    """Write the page of a finished ``run instructions`` into its folder; returns its path.

    Args:
        path: the run's folder.
        name: of the file.
    """
    folder = Folder(path)
    found = read_json(folder.step("findings") / "findings.json")
    changes = folder.table("findings", "changes.parquet")
    lead = join(
        [
            tag("p", "Kinds of instructions by weight: every model learns from as many"
                " conversations, and is scored on held-out answers of every kind.", class_="lead"),
            *[tag("p", tag("strong", line), class_="lead") for line in sentences(changes)],
            tag("p", seeds_note(found), class_="note"),
        ]
    )  # fmt: skip
    sections = [
        _plan(folder),
        _maps(changes),
        claims(folder, found),
        bits_section(folder),
        payers(folder),
        _learned(folder),
        ledger(folder),
        manifests(folder),
    ]
    write_page(path / name, "Instructions by weight", lead, sections)
    return path / name


def sentences(changes: pl.DataFrame) -> list[str]:
    """How many cells any other weights help and hurt, in words.

    Args:
        changes: columns before, after, stream, language, gain, verdict.
    """
    weights = changes.filter(pl.col("before") != _START)
    if not weights.height:
        return []
    first = weights["before"][0]
    lines = []
    for (after,), part in weights.group_by(["after"], maintain_order=True):
        gained, paid = (part.filter(verdict=said).height for said in (GAINED, PAID))
        if gained or paid:
            lines.append((gained - paid, f"{after}: {gained} gained, {paid} paid"))
    if not lines:
        return [f"No other weights can be separated from {first} in any stream and language."]
    listed = "; ".join(words for _, words in sorted(lines, key=lambda line: -line[0]))
    cells = weights.filter(after=weights["after"][0]).height
    return [f"Against {first}, of {cells} streams and languages: {listed}."]


def _plan(folder: Folder) -> Html:
    frame = folder.table("findings", "ledger.parquet").filter(pl.col("examples") > 0)
    counted = frame.with_columns(tokens="examples")
    return section(
        "The plan",
        plan_chart(counted, "conversations"),
        note="A bar is a mixture, its parts are streams; behind it: conversations that the model"
        " learns from, of the first seed. Shares are of conversations, whatever their length.",
    )


def _maps(changes: pl.DataFrame) -> Html:
    """Gain over the first mixture: a map of languages and mixtures for every stream."""
    weights = changes.filter(pl.col("before") != _START)
    if not weights.height:
        return Html("")
    mixtures = weights["after"].unique(maintain_order=True).to_list()
    most = weights["gain"].abs().max() or 1.0
    assert isinstance(most, float)
    parts = []
    for (stream,), part in weights.group_by(["stream"], maintain_order=True):
        gains = {(row["after"], row["language"]): row["gain"] for row in part.iter_rows(named=True)}
        languages = sorted(part["language"].unique())
        rows = [
            (language_of(language),
             [None if (gain := gains.get((name, language))) is None else gain / most
              for name in mixtures])
            for language in languages
        ]  # fmt: skip
        parts += [tag("h3", f"answers of {stream}"),
                  heat_map(rows, mixtures, f"gain by language and mixture, {stream}", digits=1,
                           factor=most)]  # fmt: skip
    return section(
        "What the weights do",
        *parts,
        note="Fewer bits per byte of held-out answers than with the mixture"
        f" {weights['before'][0]}, in per cent; above 0 is better. Which of them can be separated"
        " from none stands below.",
    )


def _learned(folder: Folder) -> Html:
    """What every mixture learned from, by stream and language."""
    frame = folder.table("findings", "ledger.parquet")
    first = frame.filter(pl.col("seed") == frame["seed"].min(), pl.col("examples") > 0)
    rows: Sequence[Sequence[object]] = [
        [row["model"], row["stream"], language_cell_of(row["language"]), f"{row['examples']:,}",
         f"{row['tokens']:,}", f"{row['examples'] / row['available']:.2f}"]
        for row in first.iter_rows(named=True)
    ]  # fmt: skip
    head = ["mixture", "stream", "language", "conversations", "tokens", "passes"]
    return table_section(
        "What was learned from", head, rows, numbers=(3, 4, 5),
        note="Of the first seed; every training read as many conversations as were planned.",
    )  # fmt: skip
