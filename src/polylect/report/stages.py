"""The page of an alignment in stages: what each stage did to each language."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from polylect.report.formats import DASH, interval, language_cell_of
from polylect.report.page import Html, link, section, table, tag, write_page
from polylect.rows import ScoreTable

_METRICS = {
    "reward": ("Reward", "mean reward of the answers to held-out prompts; no gate", 3),
    "right_language": ("Right language", "share of answers in the language of their prompt", 2),
    "answer_tokens": ("Length", "tokens of an answer, by each stage's own tokenizer", 0),
}


def write_stages_page(path: Path, title: str, answers: Mapping[str, Path]) -> Path:
    """Write the page of the answers of some stages; returns its path.

    Args:
        path: of the page.
        title: of the page.
        answers: folder of the answers of each stage, in order, below the page's folder.
    """
    tables = {name: ScoreTable.read(folder / "scores.parquet")
              for name, folder in answers.items()}  # fmt: skip
    first = next(iter(tables.values()))
    num = first.only(metric="reward").frame.height
    lead = (
        f"{len(tables)} stages answered {num:,} held-out prompts. Each cell is a mean and its"
        " 95 % interval over prompts. What a stage changed is best answered by a"
        " paired comparison of two folders: polylect compare BEFORE AFTER --metrics reward."
    )
    parts = [
        section(head, _by_stage(tables, name, digits), note=note + ".")
        for name, (head, note, digits) in _METRICS.items()
    ]
    files = [
        [name, *[link(kind, f"{folder.relative_to(path.parent)}/{kind}.parquet")
                 for kind in ("scores", "answers")]]
        for name, folder in answers.items()
    ]  # fmt: skip
    parts.append(section("Files", table(["stage", "scores", "answers"], files)))
    write_page(path, title, lead, parts)
    return path


def _by_stage(tables: Mapping[str, ScoreTable], metric: str, digits: int) -> Html:
    """A metric by language and stage, and its mean over languages."""
    cells: dict[str, dict[str, Html]] = {}
    means = []
    for name, scores in tables.items():
        scores = scores.only(metric=metric)
        for row in scores.interval("language").iter_rows(named=True):
            bounds = interval(row["lower"], row["upper"], f".{digits}f", "too few prompts")
            cell = tag("span", f"{row['value']:.{digits}f} ", tag("small", f"({bounds})"))
            cells.setdefault(row["language"], {})[name] = cell
        macro = scores.frame.group_by("language").agg(pl.col("value").mean())["value"].mean()
        means.append(DASH if macro is None else f"{macro:.{digits}f}")
    body = [
        [language_cell_of(label), *[cells[label].get(name, DASH) for name in tables]]
        for label in sorted(cells)
    ]
    body.append([tag("b", "mean of languages"), *means])
    return table(["language", *tables], body, numbers=range(1, len(tables) + 1))
