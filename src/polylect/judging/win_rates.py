"""Wins, ties and losses with intervals over prompts, and signs that a judge is doubtful."""

import numpy as np
import polars as pl

from polylect.stats import ClaimFamily, effective_numbers, max_t, score_bounds, share_interval

LEVEL = 0.95
NUM_RESAMPLES = 2000
_SIGNIFICANT = {
    "language": pl.String(), "win_rate": pl.Float64(), "lower": pl.Float64(),
    "upper": pl.Float64(), "verdict": pl.String(),
}  # fmt: skip


def win_rate_table(outcomes: pl.DataFrame, *columns: str, level: float = LEVEL) -> pl.DataFrame:
    """Win rates of ``model_b`` against ``model_a`` per group of ``columns``.

    Args:
        outcomes: of ``outcome_table``.
        columns: the groups.
        level: of the intervals.

    Returns:
        the columns, then pairs, invalid_pairs; wins, ties, losses (counts of valid pairs),
        win_rate ((wins + ties / 2) / valid) with lower and upper (of a share, over prompts: all
        samples and all languages of a prompt are one cluster) and num_prompts; flip (share of the
        valid pairs that were judged in both orders), half (likewise: one order a tie), tie (share
        of valid verdicts), invalid and abstained (shares of all verdicts), first (share of decided
        verdicts for what was shown first, among the pairs with a valid verdict in both orders: in
        one order alone a liking for the first place cannot be told from one for its answers). Equal
        answers, on which nobody was asked, count among the pairs and not among the verdicts. A
        share of nothing is null.
    """
    valid = pl.col("value").is_not_null()
    both_orders = valid & (pl.col("verdicts") == 2)
    verdicts = pl.col("verdicts").sum()
    table = outcomes.group_by(*columns, maintain_order=True).agg(
        pairs=pl.len(),
        invalid_pairs=(~valid).sum(),
        wins=(pl.col("value") == 1).sum(),
        ties=(pl.col("value") == 0.5).sum(),
        losses=(pl.col("value") == 0).sum(),
        win_rate=pl.col("value").mean(),
        flip=_share((pl.col("flip") & both_orders).sum(), both_orders.sum()),
        half=_share((pl.col("half") & both_orders).sum(), both_orders.sum()),
        tie=_share(pl.col("ties").sum(), verdicts - pl.col("invalid").sum()),
        invalid=_share(pl.col("invalid").sum(), verdicts),
        abstained=_share(pl.col("abstained").sum(), verdicts),
        first=_share(
            pl.col("first").filter(both_orders).sum(), pl.col("decided").filter(both_orders).sum()
        ),
    )
    by_prompt = outcomes.filter(valid).with_columns(cluster=pl.col("id"))
    bounds = share_interval(by_prompt, columns, pl.col("value"), level=level).select(
        *columns, "lower", "upper", num_prompts="num_clusters"
    )
    return table.join(bounds, on=columns, how="left", maintain_order="left")


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def significant_languages(
    outcomes: pl.DataFrame, *, level: float = LEVEL, seed: int = 0
) -> pl.DataFrame:
    """Which languages decide for one of the models, all intervals holding at once.

    Args:
        outcomes: of one judge.
        level: of the intervals together.
        seed: of the bootstrap over prompts.

    Returns:
        language, win_rate, lower, upper (simultaneous), and verdict: ``B``, ``A``, or ``open``.
    """
    from scipy.sparse import csr_matrix

    valid = outcomes.filter(pl.col("value").is_not_null())
    if valid.is_empty():
        return pl.DataFrame(schema=_SIGNIFICANT)
    tags = valid["language"].unique(maintain_order=True).to_list()
    ids = valid["id"].unique(maintain_order=True).to_list()
    columns, rows = _codes(valid["language"], tags), _codes(valid["id"], ids)
    value = valid["value"].to_numpy()
    num = np.bincount(columns, minlength=len(tags))
    mean = np.bincount(columns, value, len(tags)) / num
    influence = csr_matrix(
        ((value - mean[columns]) / num[columns], (rows, columns)), (len(ids), len(tags))
    )
    num_prompts = np.array(
        [len(np.unique(rows[columns == i])) for i in range(len(tags))], dtype=np.float64
    )
    influence = influence.multiply(np.sqrt(num_prompts / np.maximum(num_prompts - 1, 1))).tocsr()
    family = ClaimFamily(influence, num_prompts, np.zeros(len(tags)))
    (widths,) = max_t([family], level, NUM_RESAMPLES, seed)
    effective = effective_numbers(
        valid.with_columns(cluster=pl.col("id")), ["language"], pl.col("value"), pl.lit(1.0)
    )
    numbers = dict(effective.select("language", "num_effective").iter_rows())
    lower, upper = score_bounds(mean, np.array([numbers[tag] for tag in tags]), widths.critical)
    return pl.DataFrame(
        {
            "language": tags,
            "win_rate": mean,
            "lower": lower,
            "upper": upper,
            "verdict": np.where(lower > 0.5, "B", np.where(upper < 0.5, "A", "open")),
        }
    )


def _codes(values: pl.Series, names: list[str]) -> np.ndarray:
    """The position of each value among the names."""
    position = {name: i for i, name in enumerate(names)}
    return np.array([position[value] for value in values])
