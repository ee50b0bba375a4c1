"""Figures of a mixture: who its tokens go to, how its domains lie, what it weighs, what it cost."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from polylect.checkpoints import Checkpoint
from polylect.experts.nexus_checkpoint import NexusCheckpoint
from polylect.experts.report_texts import ReportDomain, ReportText
from polylect.experts.routing import own_counts, shares, unused_experts
from polylect.models import is_nexus

UNUSED_BELOW = 0.01
"""Share of all choices below which an expert counts as used by nobody."""
_PARTS = {
    ".mlp.experts.": "routed experts",
    ".mlp.shared_expert.": "shared expert",
    ".mlp.router.domains": "domain vectors",
    ".mlp.router.": "routers",
    ".self_attn.": "attention",
    "embed_tokens.": "embeddings",
    "lm_head.": "head",
}


def check_mixture(checkpoint: Checkpoint, label: str = "") -> None:
    """Check that a checkpoint is a mixture that a report can be made of; it may be quantized.

    Raises:
        InputError: it is a dense model, or config.json and tensors disagree.
    """
    if checkpoint.is_quantized and is_nexus(checkpoint.config):
        return
    NexusCheckpoint.of(checkpoint, label)


def own_shares(
    table: pl.DataFrame,
    domains: Sequence[ReportDomain],
    texts: Sequence[ReportText],
    level: float = 0.95,
    *,
    is_exact: bool = False,
) -> list[dict[str, Any]]:
    """The share of each domain's own expert, with an interval over its documents.

    The interval is ``stats.share_interval`` of the documents' shares, weighted by their choices: a
    score interval whose effective number of documents comes from how they differ, so that it holds
    for the text that they were drawn from. Documents with one parallel key are one.

    Args:
        table: see ``engine.routing_table``.
        domains: of the report; those without an own expert have no row.
        texts: of the report.
        level: of the intervals, each for itself.
        is_exact: the shares are by construction: the bounds are the share.

    Returns:
        Per domain: domain, expert, share, lower, upper, clusters.
    """
    from polylect.stats import share_interval

    experts = {domain.name: domain.expert for domain in domains if domain.expert is not None}
    if not experts:
        return []
    counts = own_counts(table, experts)
    clusters = pl.DataFrame(
        [(row.domain, row.language, row.item, row.cluster) for row in texts],
        ["domain", "language", "document", "cluster"], orient="row",
    )  # fmt: skip
    joined = (
        counts.join(clusters, on=["domain", "language", "document"], how="left")
        .group_by("domain", "cluster")
        .agg(pl.col("own", "choices").sum())
        .filter(pl.col("choices") > 0)
        .sort("domain", "cluster")
    )
    bounds = share_interval(joined, ["domain"], pl.col("own") / pl.col("choices"),
                            pl.col("choices"), level)  # fmt: skip
    by_name = {row["domain"]: row for row in bounds.iter_rows(named=True)}
    rows = []
    for name, expert in experts.items():
        row = by_name[name]
        lower, upper = (row["mean"],) * 2 if is_exact else (row["lower"], row["upper"])
        rows.append({"domain": name, "expert": expert, "share": row["mean"], "lower": lower,
                     "upper": upper, "clusters": row["num_clusters"]})  # fmt: skip
    return rows


def use_of_experts(table: pl.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each expert's share of all choices, and whether it is ``used`` by at least a hundredth."""
    unused = unused_experts(table, UNUSED_BELOW)
    return [
        {"expert": name, "share": share, "used": number not in unused}
        for number, (name, share) in enumerate(zip(names, shares(table, ())["share"], strict=True))
    ]


def geometry(
    vectors: np.ndarray | None, rows: Sequence[np.ndarray], names: Sequence[str]
) -> dict[str, Any] | None:
    """How the domains lie before and after the projections; None for routers without rows.

    Args:
        vectors: of the domains [experts, m]; None but for a nexus router.
        rows: of the router in every block [experts, width]; see ``models.router_rows``.
        names: of the experts.

    Returns:
        ``before`` (cosines of the domain vectors, or None), ``after`` (cosines of the router's
        rows, the mean over blocks), ``mean_before`` and ``mean_after`` (over pairs of experts;
        None for one expert), ``num_blocks``, ``neighbors`` (per expert its nearest one before and
        after, whether it is ``kept``, and in how many ``blocks``).
    """
    if not rows:
        return None
    after = [_cosines(part) for part in rows]
    mean = np.mean(after, axis=0)
    before = None if vectors is None else _cosines(vectors)
    return {
        "before": None if before is None else before.tolist(),
        "after": mean.tolist(),
        "mean_before": None if before is None else _mean_of_pairs(before),
        "mean_after": _mean_of_pairs(mean),
        "num_blocks": len(rows),
        "neighbors": _neighbors(before, after, mean, names),
    }


def _cosines(rows: np.ndarray) -> np.ndarray:
    """[n, n] of vectors [n, width]; 0 with a vector of length 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return np.clip(unit @ unit.T, -1.0, 1.0)


def _mean_of_pairs(cosines: np.ndarray) -> float | None:
    pairs = cosines[np.triu_indices(len(cosines), k=1)]
    return float(pairs.mean()) if len(pairs) else None


def _neighbors(
    before: np.ndarray | None,
    after: Sequence[np.ndarray],
    mean: np.ndarray,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    if before is None or len(names) < 2:
        return []

    def nearest(cosines: np.ndarray) -> list[int]:
        others = cosines - 3.0 * np.eye(len(cosines))
        return others.argmax(axis=1).tolist()

    first, second = nearest(before), nearest(mean)
    kept = np.sum([np.array(nearest(cosines)) == first for cosines in after], axis=0).tolist()
    return [
        {"expert": name, "before": names[first[i]], "after": names[second[i]],
         "kept": first[i] == second[i], "blocks": kept[i]}
        for i, name in enumerate(names)
    ]  # fmt: skip


def sizes(checkpoint: Checkpoint) -> dict[str, Any]:
    """Parameters and bytes of a mixture.

    Returns:
        ``total``: parameters of the model before it was quantized, a tied head counted once,
        without the domain vectors, which are constants. ``active``: of these, the ones that a token
        meets: all but the n − k routed experts that it does not choose; the table of embeddings
        is counted whole. ``parts``: parameters by part. ``bytes``: of the tensors on disk, by part
        and element type (``part``, ``dtype``, ``bytes``).
    """
    from polylect.models import skeleton

    parts: dict[str, int] = defaultdict(int)
    for name, parameter in skeleton(checkpoint, "eager").named_parameters():
        parts[_part(name)] += parameter.numel()
    config = checkpoint.config
    total, num = sum(parts.values()), config["num_experts"]
    idle = parts["routed experts"] // num * (num - config["num_experts_per_tok"])
    stored: dict[tuple[str, str], int] = defaultdict(int)
    for name, info in checkpoint.tensors.items():
        stored[_part(name), info.dtype] += info.end - info.begin
    return {
        "total": total,
        "active": total - idle,
        "parts": dict(parts),
        "bytes": [{"part": part, "dtype": dtype, "bytes": num}
                  for (part, dtype), num in sorted(stored.items())],
    }  # fmt: skip


def _part(name: str) -> str:
    return next((part for mark, part in _PARTS.items() if mark in name), "norms and the rest")


def training_cost(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint's folder says of how it was made.

    Returns:
        ``method`` and ``parents`` of its lineage; ``tokens`` that the last training read, from its
        metrics or lineage; 0 after upcycling, extending or removing; None where nothing says it.
    """
    lineage = checkpoint.lineage
    settings: Mapping[str, Any] = lineage.settings if lineage else {}
    stated = settings.get("tokens")
    metrics = checkpoint.path / "metrics.jsonl"
    tokens = stated if isinstance(stated, int) else None
    if metrics.is_file():
        lines = metrics.read_text(encoding="utf-8").splitlines()
        tokens = sum(int(json.loads(line).get("tokens", 0)) for line in lines if line) or tokens
    if lineage and lineage.method.startswith("experts "):
        tokens = 0  # an operation on files
    return {
        "method": lineage.method if lineage else None,
        "parents": [parent.label for parent in lineage.parents] if lineage else [],
        "tokens": tokens,
    }
