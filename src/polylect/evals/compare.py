"""Who gained and who paid between two checkpoints: paired differences, worst-hurt first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylect.base import LANGUAGES, InputError, generator
from polylect.rows import ScoreTable

ALL = "all languages"
"""The group that every comparison has."""

_MIN_CLUSTERS = 4
"""With fewer documents a bootstrap says next to nothing of the spread."""


@dataclass(frozen=True)
class Comparison:
    """Paired differences of one metric where lower is better.

    Attributes:
        before: name of the first checkpoint.
        after: name of the second.
        languages: a row per language, worst-hurt first: language, before, after, difference
            (after − before: above 0 is worse), lower, upper (simultaneous over the languages;
            infinite for a language of fewer than four clusters), items, unmatched, relative
            (difference / before), verdict (``paid``, ``gained``, ``not separable``).
        groups: a row per group of languages: group, num_languages, relative (mean over its
            languages of after / before − 1, each language counting alike), lower, upper
            (percentile bootstrap, one group at a time).
        level: of all intervals.
    """

    before: str
    after: str
    languages: pl.DataFrame
    groups: pl.DataFrame
    level: float

    def sentence(self) -> str:
        """Who gained, who paid and who cannot be told apart, in words."""
        total = self.languages.height
        parts = []
        for verdict, verb in (("paid", "pays"), ("gained", "gains")):
            rows = self.languages.filter(pl.col("verdict") == verdict)
            if rows.is_empty():
                parts.append(f"nobody {verb}")
                continue
            worst = rows.row(0 if verdict == "paid" else -1, named=True)
            name = LANGUAGES[worst["language"]].name if worst["language"] in LANGUAGES else "code"
            change = 100 * worst["relative"]
            share = "all" if rows.height == total else str(rows.height)
            what = "languages" if rows.height != 1 else "language"
            parts.append(f"{share} {what} {verdict}, most {name} ({change:+.1f} %)")
        level = self.languages.filter(pl.col("verdict") == "not separable").height
        if level:
            parts.append(f"{level} cannot be told apart at this number of documents")
        row = self.groups.filter(pl.col("group") == ALL).row(0, named=True)
        return (
            f"{self.after} against {self.before}: {'; '.join(parts)}. Mean over languages"
            f" {100 * row['relative']:+.1f} % bits ({100 * row['lower']:+.1f} to"
            f" {100 * row['upper']:+.1f}; less is better)."
        )


def compare(
    before: ScoreTable,
    after: ScoreTable,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
    allow_other_settings: bool = False,
) -> Comparison:
    """Paired comparison by language, worst-hurt first, of a metric where lower is better.

    Documents are resampled by their cluster, the same draw for all languages that have a
    translation of it. The languages' intervals hold simultaneously (max-t over languages), so that
    picking out the worst does not make it look worse than it is; the verdict is the interval's.
    They are widened for few documents as Student's t is. Simulated with 24 languages, a 95 %
    interval holds in 95 to 97 of 100 worlds from four documents on, when differences are normal;
    in 85 to 90 when they are as skewed as an exponential.

    Args:
        before: rows of one checkpoint.
        after: rows of another, on the same items.
        groups: groups of languages to sum up; languages without scores are left out.
        level: of the intervals.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.
        allow_other_settings: compare although engine or settings differ.

    Raises:
        InputError: several checkpoints or metrics in a table, no shared items, other settings.
    """
    for table in (before, after):
        if table.frame["metric"].n_unique() != 1:
            raise InputError("a comparison is of one metric", "choose one: table.only(metric=NAME)")
    rows = before.paired(
        after,
        "language",
        num_resamples=2,
        allow_other_settings=allow_other_settings,
    ).drop("lower", "upper")
    joined = _matched(before, after)
    tags = rows.filter(pl.col("items") > 0)["language"].to_list()
    old, new, weight = _draws(joined, tags, num_resamples, seed)
    draws = (new - old) / weight
    centre = np.array([rows.filter(pl.col("language") == tag)["difference"][0] for tag in tags])
    clusters = dict(joined.group_by("language").agg(pl.col("cluster").n_unique()).rows())
    num_clusters = np.array([clusters[tag] for tag in tags])
    half = _simultaneous_half_width(draws, centre, num_clusters, level)
    bounds = pl.DataFrame({"language": tags, "lower": centre - half, "upper": centre + half})
    verdict = (
        pl.when(pl.col("lower") > 0)
        .then(pl.lit("paid"))
        .when(pl.col("upper") < 0)
        .then(pl.lit("gained"))
        .otherwise(pl.lit("not separable"))
    )
    table = (
        rows.join(bounds, on="language", how="left")
        .with_columns(verdict=verdict, relative=pl.col("difference") / pl.col("before"))
        .sort("difference", descending=True, nulls_last=True)
    )
    asked = {ALL: tags} | {name: list(one) for name, one in (groups or {}).items()}
    relative = new / old - 1.0
    found = table.select("language", "relative")
    return Comparison(
        before=before.frame["checkpoint"][0],
        after=after.frame["checkpoint"][0],
        languages=table,
        groups=pl.DataFrame(
            [
                _group(name, [tag for tag in one if tag in tags], tags, relative, found, level)
                for name, one in asked.items()
            ],
            infer_schema_length=None,
        ),
        level=level,
    )


def _group(
    name: str,
    members: list[str],
    tags: list[str],
    relative: np.ndarray,
    found: pl.DataFrame,
    level: float,
) -> dict[str, object]:
    if not members:
        none = {"relative": None, "lower": None, "upper": None}
        return {"group": name, "num_languages": 0} | none
    columns = [tags.index(tag) for tag in members]
    means = relative[:, columns].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    centre = found.filter(pl.col("language").is_in(members))["relative"].mean()
    return {
        "group": name,
        "num_languages": len(members),
        "relative": centre,
        "lower": float(lower),
        "upper": float(upper),
    }


def _matched(before: ScoreTable, after: ScoreTable) -> pl.DataFrame:
    """Language, cluster, weighted values on both sides and weight of every shared valid row."""
    key = ["task", "language", "group", "item", "metric"]
    joined = before.frame.join(after.frame, on=key, validate="1:1")
    return joined.filter(~pl.col("invalid") & ~pl.col("invalid_right")).select(
        "language",
        "cluster",
        old=pl.col("value") * pl.col("weight"),
        new=pl.col("value_right") * pl.col("weight"),
        weight=pl.col("weight"),
    )


def _draws(
    joined: pl.DataFrame, tags: list[str], num_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bootstrap sums [resamples, languages] of both sides and of the weight.

    Poisson(1) weights on clusters stand for resampling: a cluster's weight is the same in every
    language that has it.
    """
    clusters = sorted(joined["cluster"].unique().to_list())
    row_of = {name: i for i, name in enumerate(clusters)}
    column_of = {name: i for i, name in enumerate(tags)}
    sums = np.zeros((3, len(clusters), len(tags)))
    for tag, cluster, old, new, weight in joined.iter_rows():
        sums[:, row_of[cluster], column_of[tag]] += (old, new, weight)
    times = generator(seed, "compare").poisson(1.0, (num_resamples, len(clusters))).astype(float)
    old, new, weight = (times @ one for one in sums)
    # A draw that holds no document of a language says nothing about it: the whole stands in.
    empty = weight == 0.0
    whole = sums.sum(axis=1)
    return tuple(np.where(empty, whole[i], one) for i, one in enumerate((old, new, weight)))  # pyrefly: ignore


def _simultaneous_half_width(
    draws: np.ndarray, centre: np.ndarray, num_clusters: np.ndarray, level: float
) -> np.ndarray:
    """Half-widths [languages]: quantile of the largest standardised deviation, times the spread.

    The quantile is a normal's; Student's t of the language's clusters is taken at the same tail,
    and the bootstrap's spread put to n − 1.
    """
    from scipy.special import ndtr, stdtrit

    enough = num_clusters >= _MIN_CLUSTERS
    half = np.full(len(centre), np.inf)
    if enough.any():
        spread, num = draws.std(axis=0, ddof=1)[enough], num_clusters[enough]
        safe = np.where(spread > 0, spread, 1.0)
        largest = np.abs((draws - centre)[:, enough] / safe).max(axis=1)
        tail = ndtr(-np.quantile(largest, level))
        half[enough] = spread * np.sqrt(num / (num - 1)) * -stdtrit(num - 1, tail)
    return half
