"""The page of an alignment in stages: what every stage did to every language."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from polylect.base import LANGUAGES
from polylect.report.page import Html, language_cell, section, table, tag, write_page
from polylect.rows import ScoreTable

_METRICS = {
    "reward": ("Reward", "mean reward of the answers to held-out prompts; no gate", 3),
    "right_language": ("Right language", "share of answers in the language of their prompt", 2),
    "answer_tokens": ("Length", "tokens of an answer, by each stage's own tokenizer", 0),
}


def write_stages_page(path: Path, title: str, looks: Mapping[str, Path]) -> Path:
    """Write the page of some stages' answers; its path.

    Args:
        path: of the page.
        title: of it.
        looks: folder of the answers of every stage, in order, below the page's folder.
    """
    tables = {name: ScoreTable.read(one / "scores.parquet") for name, one in looks.items()}
    first = next(iter(tables.values()))
    num = first.only(metric="reward").frame.height
    lead = tag(
        "p",
        f"{len(tables)} stages answered {num:,} prompts that none of them learned from. Each cell"
        " is a mean and the half-width of its 95 % interval over prompts; what a stage changed is"
        " best asked of two of its folders: polylect compare BEFORE AFTER --metric reward.",
        class_="lead",
    )
    parts = [
        section(head, _by_stage(tables, name, digits), note=note + ".")
        for name, (head, note, digits) in _METRICS.items()
    ]
    body = [
        [name, tag("a", "scores", href=f"{one.relative_to(path.parent)}/scores.parquet"),
         tag("a", "answers", href=f"{one.relative_to(path.parent)}/answers.parquet")]
        for name, one in looks.items()
    ]  # fmt: skip
    parts.append(section("Files", table(["stage", "scores", "answers"], body)))
    write_page(path, title, lead, parts)
    return path


def _by_stage(tables: Mapping[str, ScoreTable], metric: str, digits: int) -> Html:
    found: dict[str, dict[str, str]] = {}
    means: dict[str, str] = {}
    for name, one in tables.items():
        own = one.only(metric=metric)
        for row in own.interval("language").iter_rows(named=True):
            half = row["upper"] - row["value"]
            found.setdefault(row["language"], {})[name] = (
                f"{row['value']:.{digits}f} ± {half:.{digits}f}"
            )
        macro = own.frame.group_by("language").agg(pl.col("value").mean())["value"].mean()
        means[name] = f"{macro:.{digits}f}" if macro is not None else "–"
    body = []
    for language in sorted(found):
        known = LANGUAGES.get(language)
        label = language_cell(known) if known else tag("span", language)
        body.append([label, *[found[language].get(name, "–") for name in tables]])
    body.append([tag("b", "mean of languages"), *means.values()])
    return table(["language", *tables], body, numbers=range(1, len(tables) + 1))
