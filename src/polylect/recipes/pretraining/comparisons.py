"""Step of the lifecycle that compares its checkpoints: scores, comparisons, sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import Seed, check_settings, write_json
from polylect.comparison import Comparison, compare_many, stack_tables
from polylect.rows import ScoreTable
from polylect.runs import Artifact, StepContext, StepInputs, step


@dataclass(frozen=True, kw_only=True)
class PretrainingComparisonConfig:
    """How the languages are grouped.

    Attributes:
        clusters: languages of every expert without the anchors, by name of the cluster.
        anchors: languages that every expert is trained on.
        seed: of the bootstrap.
    """

    clusters: dict[str, tuple[str, ...]]
    anchors: tuple[str, ...]
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


def votes(names: Sequence[str], scored: Sequence[Artifact]) -> tuple[float, ...]:
    """Merge weights: every language votes for the expert that scores best in it.

    The weight of an expert is its share of the votes on the validation split; ties go to the
    earlier one. A simple rule that reads held-out text, in place of a search.

    Args:
        names: of the experts.
        scored: their score tables, in the same order.
    """
    tables = ScoreTable.concat([ScoreTable.read(scores.path / "scores.parquet")
                                for scores in scored])  # fmt: skip
    order = {name: i for i, name in enumerate(names)}
    best = (
        tables.by("checkpoint", "language")
        .with_columns(order=pl.col("checkpoint").replace_strict(order))
        .sort("language", "value", "order")
        .group_by("language", maintain_order=True)
        .first()
    )
    counts = dict(best["checkpoint"].value_counts().rows())
    return tuple(counts.get(name, 0) / best.height for name in names)


@step(version=7, uses_languages=True)
def compare_pretraining(
    config: PretrainingComparisonConfig, inputs: StepInputs, context: StepContext
) -> None:
    """Writes ``scores.parquet``, ``bits.parquet``, ``comparisons.parquet``, ``groups.parquet`` and
    ``findings.json``.

    Inputs: the score tables, each under its checkpoint's name; ``base``, ``rival``,
    ``rival-total`` and the merges among them.
    """
    tables = {name: ScoreTable.read(scores.path / "scores.parquet")
              for name, scores in inputs.items()}  # fmt: skip
    scores = ScoreTable.concat(list(tables.values()))
    scores.write(context.out / "scores.parquet")
    scores.interval("checkpoint", "language").write_parquet(context.out / "bits.parquet")

    pairs = [("rival", name) for name in tables if name.startswith("expert-")]
    merges = [name for name in tables if name.startswith("merge-")]
    pairs += [(rival, name) for name in merges for rival in ("rival-total", "rival")]
    pairs += [("base", name) for name in tables if name != "base"]
    compared = compare_many(
        tables,
        [(*pair, "") for pair in pairs],
        groups=lambda after: groups_for(after, config),
        seed=config.seed,
        reporter=context.report,
    )
    stack_tables(compared, "languages").write_parquet(context.out / "comparisons.parquet")
    stack_tables(compared, "groups").write_parquet(context.out / "groups.parquet")
    findings = [pair.described() | {"answer": answer(pair.comparison)} for pair in compared]
    write_json(context.out / "findings.json", findings)


def groups_for(checkpoint: str, config: PretrainingComparisonConfig) -> dict[str, tuple[str, ...]]:
    """The groups of languages that a checkpoint is compared on.

    For an expert: its own languages, the anchors, all others, and code. For any other checkpoint:
    the clusters and the anchors.
    """
    cluster = config.clusters.get(checkpoint.removeprefix("expert-"))
    if cluster is None:
        return dict(config.clusters) | {"anchors": config.anchors}
    everyone = {tag for tags in config.clusters.values() for tag in tags}
    others = tuple(sorted(everyone - set(cluster) - {"code"}))
    groups = {"own": cluster, "anchors": config.anchors, "others": others}
    return groups if "code" in cluster or "code" not in everyone else groups | {"code": ("code",)}


def answer(comparison: Comparison) -> str:
    """For an expert: what it gained on its own languages, and what that cost the others."""
    rows = {row["group"]: row for row in comparison.groups.iter_rows(named=True)}
    if "own" not in rows:
        return ""
    parts = [f"its own languages: {_change(rows['own'])}"]
    if rows["others"]["relative"] is not None:
        parts.append(f"the other clusters': {_change(rows['others'])}")
    return f"{comparison.after} against {comparison.before} — " + "; ".join(parts)


def _change(row: dict[str, Any]) -> str:
    # Fewer bits are a gain.
    value, low, high = (-100 * row[key] for key in ("relative", "relative_upper", "relative_lower"))
    if not math.isfinite(low):
        return f"{value:+.1f} % bits, too few documents for an interval"
    verdict = "worse" if high < 0 else "better" if low > 0 else "not separable"
    return f"{value:+.1f} % bits ({low:+.1f} to {high:+.1f}), {verdict}"
