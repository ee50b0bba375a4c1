"""Step of the search that compares what it found with every baseline, on data it did not see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import Seed, check_settings, decode, read_json, write_json
from polylect.comparison import compare_many, stack_tables
from polylect.recipes.merge_search.baselines import SINGLE
from polylect.recipes.merge_search.steps import ARCHIVE, KNEE, SEARCHED
from polylect.rows import ScoreTable
from polylect.runs import Artifact, StepContext, step
from polylect.search import (
    Archive,
    AspectsConfig,
    Fitness,
    FitnessConfig,
    aspects_of,
    summarize,
)

SEEN, HELD_OUT = "searched languages", "held-out languages"


@dataclass(frozen=True, kw_only=True)
class SearchComparisonConfig:
    """How the finalists are compared.

    Attributes:
        languages: tags that the search was scored on.
        held_out: tags that it was not.
        seed: of the bootstrap.
    """

    languages: tuple[str, ...]
    held_out: tuple[str, ...]
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=5, uses_languages=True)
def compare_search(
    config: SearchComparisonConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes ``finals.parquet``, ``languages.parquet``, ``groups.parquet`` and ``verdicts.json``.

    Inputs: ``search`` (from ``explore``) and ``scores`` (from ``score_finals``).
    """
    search = read_json(inputs["search"].path / "search.json")
    archive = Archive.read(inputs["search"].path / ARCHIVE)
    scores = ScoreTable.read(inputs["scores"].path / "scores.parquet")
    names = in_order(search)
    rows = _finals(search, archive, scores.only(language=config.languages), names)
    pl.DataFrame(rows).write_parquet(context.out / "finals.parquet")

    best = best_single({name: search["values"][name] for name in names})
    groups = {SEEN: config.languages} | ({HELD_OUT: config.held_out} if config.held_out else {})
    pairs = [(name, SEARCHED) for name in names if name not in {SEARCHED, KNEE}]
    if KNEE in names:
        pairs.append((best, KNEE))
    compared = compare_many(
        {name: scores.only(checkpoint=name) for name in names},
        [(*pair, "") for pair in pairs],
        groups=groups,
        seed=config.seed,
        reporter=context.report,
    )
    stack_tables(compared, "languages").write_parquet(context.out / "languages.parquet")
    stack_tables(compared, "groups").write_parquet(context.out / "groups.parquet")
    pairs = [pair.described() for pair in compared]
    write_json(context.out / "verdicts.json", {"best_single": best, "told": pairs})


def _finals(
    search: Mapping[str, Any], archive: Archive, scores: ScoreTable, names: list[str]
) -> list[dict[str, Any]]:
    """A row per finalist: fitness on both parts, weights, and aspects on the test part."""
    aspects = decode(AspectsConfig, search["aspects"], "search.json")
    fitness = Fitness.of(
        aspects,
        decode(FitnessConfig, search["fitness"], "search.json"),
        [archive.entries[search["named"][SINGLE + label]] for label in search["labels"]],
    )
    rows = []
    for name in names:
        summary = summarize(scores.only(checkpoint=name))
        rows.append({
            "name": name,
            "search": search["values"][name],
            "test": fitness(summary),
            "weights": list(archive.entries[search["named"][name]].vector),
            "aspects": [{"aspect": aspect, "value": value}
                        for aspect, value in aspects_of(summary, aspects).items()],
        })  # fmt: skip
    return rows


def best_single(values: Mapping[str, float]) -> str:
    """The fittest single checkpoint on the search's part; the first of equals."""
    singles = [name for name in values if name.startswith(SINGLE)]
    return max(singles, key=lambda name: (values[name], -singles.index(name)))


def in_order(search: Mapping[str, Any]) -> list[str]:
    """The names of ``search.json``: what was searched, the baselines, the single checkpoints."""
    singles = [SINGLE + label for label in search["labels"]]
    first = [name for name in (SEARCHED, KNEE) if name in search["named"]]
    baselines = [name for name in search["named"] if name not in {*first, *singles}]
    return [*first, *baselines, *singles]


def finalists(search: Mapping[str, Any], archive: Archive) -> dict[str, tuple[float, ...]]:
    """Weights of everything that has a name."""
    return {name: archive.entries[search["named"][name]].vector for name in in_order(search)}
