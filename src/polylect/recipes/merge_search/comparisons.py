"""What a search found, on text or items that it did not see: against every baseline, paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import decode, read_json, write_json
from polylect.comparison import Comparison, compare
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
class VerdictsConfig:
    """How the finalists are compared.

    Attributes:
        languages: tags that the search was scored on.
        held_out: tags that it was not.
        seed: of the bootstrap.
    """

    languages: tuple[str, ...]
    held_out: tuple[str, ...]
    seed: int = 0


@step(version=1)
def compare_search(
    config: VerdictsConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes ``finals.parquet``, ``languages.parquet``, ``groups.parquet`` and ``verdicts.json``.

    Inputs: ``search`` (from ``explore``) and ``scores`` (from ``score_finals``).
    """
    found = read_json(inputs["search"].path / "search.json")
    archive = Archive.read(inputs["search"].path / ARCHIVE)
    scores = ScoreTable.read(inputs["scores"].path / "scores.parquet")
    aspects = decode(AspectsConfig, found["aspects"], "search.json")
    fitness = Fitness.of(
        aspects,
        decode(FitnessConfig, found["fitness"], "search.json"),
        [archive.entries[found["named"][SINGLE + label]] for label in found["labels"]],
    )
    seen = scores.only(language=config.languages)
    rows = []
    names = in_order(found)
    for name in names:
        number = found["named"][name]
        own = summarize(seen.only(checkpoint=name))
        rows.append(
            {"name": name, "search": found["values"][name], "test": fitness(own)}
            | {"weights": list(archive.entries[number].vector)}
            | {"aspects": [{"aspect": key, "value": value} for key, value in
                           aspects_of(own, aspects).items()]}
        )  # fmt: skip
    pl.DataFrame(rows).write_parquet(context.out / "finals.parquet")

    best = best_single({name: found["values"][name] for name in names})
    groups = {SEEN: config.languages} | ({HELD_OUT: config.held_out} if config.held_out else {})
    others = [one for one in names if one not in {SEARCHED, KNEE}]
    pairs = [(one, SEARCHED) for one in others]
    if KNEE in names:
        pairs.append((best, KNEE))
    languages, summed, told = [], [], []
    for number, (before, after) in enumerate(pairs):
        one = compare(
            scores.only(checkpoint=before),
            scores.only(checkpoint=after),
            groups=groups,
            seed=config.seed,
        )
        languages.append(_named(one.languages, one))
        summed.append(_named(one.groups, one))
        told.append({"before": before, "after": after, "sentence": one.sentence()})
        context.report.update(number + 1, len(pairs), "comparisons")
    pl.concat(languages).write_parquet(context.out / "languages.parquet")
    pl.concat(summed).write_parquet(context.out / "groups.parquet")
    write_json(context.out / "verdicts.json", {"best_single": best, "told": told})


def best_single(values: Mapping[str, float]) -> str:
    """The fittest single checkpoint on the search's part; of equals the first."""
    alone = [name for name in values if name.startswith(SINGLE)]
    return max(alone, key=lambda name: (values[name], -alone.index(name)))


def in_order(found: Mapping[str, Any]) -> list[str]:
    """The names of ``search.json``: what was searched, the baselines, the singles."""
    alone = [SINGLE + label for label in found["labels"]]
    first = [one for one in (SEARCHED, KNEE) if one in found["named"]]
    return [*first, *[one for one in found["named"] if one not in {*first, *alone}], *alone]


def finalists(found: Mapping[str, Any], archive: Archive) -> dict[str, tuple[float, ...]]:
    """Weights of everything that has a name."""
    return {name: archive.entries[found["named"][name]].vector for name in in_order(found)}


def _named(frame: pl.DataFrame, found: Comparison) -> pl.DataFrame:
    """The frame with the pair's names in front."""
    frame = frame.rename({"before": "score_before", "after": "score_after"})
    names: Sequence[pl.Expr] = (
        pl.lit(found.before).alias("before"),
        pl.lit(found.after).alias("after"),
    )
    return frame.select(*names, pl.all())
