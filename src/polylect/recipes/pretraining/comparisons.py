"""What a lifecycle found: all scores, every comparison, and the sentences that sum them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import write_json
from polylect.comparison import Comparison, compare
from polylect.rows import ScoreTable
from polylect.runs import Artifact, StepContext, step


@dataclass(frozen=True, kw_only=True)
class FindingsConfig:
    """How the languages group.

    Attributes:
        clusters: own languages of every expert, by the cluster's name.
        anchors: languages that every expert keeps.
        seed: of the bootstrap.
    """

    clusters: dict[str, tuple[str, ...]]
    anchors: tuple[str, ...]
    seed: int = 0


def votes(names: Sequence[str], scored: Sequence[Artifact]) -> tuple[float, ...]:
    """Merge weights: every language votes for the expert that scores best in it.

    The weight of an expert is its share of the votes on the validation split; ties go to the
    earlier one. A simple rule that looks at held-out text, in place of a search.
    """
    tables = ScoreTable.concat([ScoreTable.read(one.path / "scores.parquet") for one in scored])
    by = tables.by("checkpoint", "language")
    order = {name: i for i, name in enumerate(names)}
    best = (
        by.with_columns(order=pl.col("checkpoint").replace_strict(order))
        .sort("language", "value", "order")
        .group_by("language", maintain_order=True)
        .first()
    )
    counts = dict(best["checkpoint"].value_counts().rows())
    return tuple(counts.get(name, 0) / best.height for name in names)


@step(version=3)
def compare_pretraining(
    config: FindingsConfig, inputs: Mapping[str, Any], context: StepContext
) -> None:
    """Writes ``scores.parquet``, ``bits.parquet``, ``comparisons.parquet``, ``groups.parquet`` and
    ``findings.json``.

    Inputs: the score tables, each under its checkpoint's name; ``base``, ``rival``,
    ``rival-total`` and the merges among them.
    """
    tables = {name: ScoreTable.read(one.path / "scores.parquet") for name, one in inputs.items()}
    scores = ScoreTable.concat(list(tables.values()))
    scores.write(context.out / "scores.parquet")
    bits = scores.interval("checkpoint", "language")
    bits.write_parquet(context.out / "bits.parquet")

    pairs = [("rival", name) for name in tables if name.startswith("expert-")]
    merges = [name for name in tables if name.startswith("merge-")]
    pairs += [(rival, name) for name in merges for rival in ("rival-total", "rival")]
    pairs += [("base", name) for name in tables if name != "base"]
    languages, groups, sentences = [], [], []
    for number, (before, after) in enumerate(pairs):
        found = compare(
            tables[before],
            tables[after],
            groups=groups_for(after, config),
            seed=config.seed,
        )
        languages.append(_named(found.languages, before, after))
        groups.append(_named(found.groups, before, after))
        sentences.append({"before": before, "after": after, "sentence": found.sentence(),
                          "answer": answer(found)})  # fmt: skip
        context.report.update(number + 1, len(pairs), "comparisons")
    pl.concat(languages).write_parquet(context.out / "comparisons.parquet")
    pl.concat(groups).write_parquet(context.out / "groups.parquet")
    write_json(context.out / "findings.json", sentences)


def groups_for(checkpoint: str, config: FindingsConfig) -> dict[str, tuple[str, ...]]:
    """Own languages, anchors and the others of an expert; just the clusters for anything else."""
    own = config.clusters.get(checkpoint.removeprefix("expert-"))
    if own is None:
        return dict(config.clusters) | {"anchors": config.anchors}
    everyone = {tag for tags in config.clusters.values() for tag in tags}
    others = tuple(sorted(everyone - set(own) - {"code"}))
    found = {"own": own, "anchors": config.anchors, "others": others}
    return found if "code" in own or "code" not in everyone else found | {"code": ("code",)}


def answer(found: Comparison) -> str:
    """For an expert: what it gained on its own languages, and what that cost the others."""
    rows = {row["group"]: row for row in found.groups.iter_rows(named=True)}
    if "own" not in rows:
        return ""
    own, others = rows["own"], rows["others"]
    parts = [f"its own languages: {_change(own)}"]
    if others["relative"] is not None:
        parts.append(f"the other clusters': {_change(others)}")
    return f"{found.after} against {found.before} — " + "; ".join(parts)


def _change(row: dict[str, Any]) -> str:
    low, high = 100 * row["relative_lower"], 100 * row["relative_upper"]
    if low == float("-inf"):
        return f"{100 * row['relative']:+.1f} % bits, too few documents for an interval"
    word = "better" if high < 0 else "worse" if low > 0 else "not separable"
    return f"{100 * row['relative']:+.1f} % bits ({low:+.1f} to {high:+.1f}), {word}"


def _named(frame: pl.DataFrame, before: str, after: str) -> pl.DataFrame:
    """The frame with the pair's names in front."""
    if "before" in frame.columns:
        frame = frame.rename({"before": "score_before", "after": "score_after"})
    return frame.select(pl.lit(before).alias("before"), pl.lit(after).alias("after"), pl.all())
