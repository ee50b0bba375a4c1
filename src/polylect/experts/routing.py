"""Shares of experts, read from the counts of documents (``engine.routing_table``)."""

from collections.abc import Iterable, Mapping

import polars as pl


def shares(table: pl.DataFrame, by: Iterable[str]) -> pl.DataFrame:
    """Share of each expert in the choices of every group; sums to 1 within a group.

    Args:
        table: see ``engine.routing_table``.
        by: columns that make a group, e.g. domain, or domain and block.
    """
    keys = list(by)
    sums = table.group_by([*keys, "expert"]).agg(pl.col("choices").sum(), pl.col("gate").sum())
    over = keys or [pl.lit(0)]
    return (
        sums.with_columns(
            share=pl.col("choices") / pl.col("choices").sum().over(over),
            gate_share=pl.col("gate") / pl.col("gate").sum().over(over),
        )
        .select(*keys, "expert", "share", "gate_share", "choices")
        .sort(*keys, "expert")
    )


def own_counts(table: pl.DataFrame, expert_of: Mapping[str, int]) -> pl.DataFrame:
    """A row per document of the domains that have an expert: its choices, and those of the expert.

    Over all blocks: ``own`` of ``choices``. A domain's own share is the sum of the first over the
    sum of the second; its interval resamples documents.

    Args:
        table: see ``engine.routing_table``.
        expert_of: the number of the expert of a domain.
    """
    known = table.filter(pl.col("domain").is_in(list(expert_of)))
    expert = pl.col("domain").replace_strict(dict(expert_of), return_dtype=pl.Int64)
    own = pl.when(pl.col("expert") == expert).then(pl.col("choices")).otherwise(0)
    return (
        known.with_columns(own=own)
        .group_by("domain", "language", "document")
        .agg(pl.col("own").sum(), pl.col("choices").sum())
        .sort("domain", "language", "document")
    )


def unused_experts(table: pl.DataFrame, below: float = 0.01) -> list[int]:
    """Experts whose share of all choices is below a limit."""
    of_all = shares(table, ())
    return of_all.filter(pl.col("share") < below)["expert"].to_list()
