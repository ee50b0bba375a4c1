"""What routers gain over the single best teacher, and who wins where."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from polylect.feedback.usable_answers import RouterTable
from polylect.stats import cluster_interval, student_half_width

ALL_LANGUAGES = ""
"""Stands for all languages together, each prompt counting equally."""


def gain_rows(
    table: RouterTable,
    used: Mapping[str, Sequence[np.ndarray]],
    generated: Mapping[str, Sequence[np.ndarray]],
    evaluated: np.ndarray,
) -> list[dict[str, object]]:
    """A row per router and language: judged reward, gain over ``best``, wins, and cost.

    Gains are paired by prompt; intervals are clustered by the prompt's id, so that translations of
    one prompt count as one. A relative gain needs a reward that is nowhere below 0; its interval is
    that of a ratio of sums (delta method).

    Args:
        table: of the pool.
        used: rows that each router uses, by prompt.
        generated: rows that must be generated for it.
        evaluated: whether each prompt is compared [prompts].
    """
    unit, costs = table.costs
    frame = pl.DataFrame({
        "language": [language for language, _ in table.prompts],
        "cluster": [id_ for _, id_ in table.prompts],
        "evaluated": evaluated,
    })  # fmt: skip
    columns = []
    for router, rows in used.items():
        columns += [
            pl.Series(f"{router} judged", [_mean(table.judged, part) for part in rows]),
            pl.Series(f"{router} reward", [_mean(table.reward, part) for part in rows]),
            pl.Series(f"{router} right", [_mean(table.right, part) for part in rows]),
            pl.Series(f"{router} cost", [float(costs[part].sum()) for part in generated[router]]),
        ]  # fmt: skip
    frame = frame.with_columns(*columns).filter("evaluated").fill_nan(None)
    is_ratio = not bool((table.judged < 0).any())
    result = []
    for router in used:
        for language in [ALL_LANGUAGES, *sorted(frame["language"].unique())]:
            part = frame if not language else frame.filter(pl.col("language") == language)
            result.append(_row(part, router, language, is_ratio) | {"unit": unit})
    return result


def _mean(values: np.ndarray, rows: np.ndarray) -> float:
    known = values[rows][~np.isnan(values[rows])]
    return float(known.mean()) if len(known) else np.nan


def _row(part: pl.DataFrame, router: str, language: str, is_ratio: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "router": router, "language": language, "prompts": part.height,
        "judged": part[f"{router} judged"].mean(), "reward": part[f"{router} reward"].mean(),
        "in_language": part[f"{router} right"].mean(), "generated": part[f"{router} cost"].sum(),
    }  # fmt: skip
    names = ("gain", "lower", "upper", "relative", "relative_lower", "relative_upper", "wins",
             "ties", "losses")  # fmt: skip
    if router == "best" or "best judged" not in part.columns:
        return row | dict.fromkeys(names)
    pairs = part.select("cluster", mine=f"{router} judged", best="best judged").drop_nulls()
    if not pairs.height:
        return row | dict.fromkeys(names)
    gain = pl.col("mine") - pl.col("best")
    row |= dict(zip(("gain", "lower", "upper"), _interval(pairs, gain), strict=True))
    relative = _ratio(pairs) if is_ratio else (None, None, None)
    row |= dict(zip(("relative", "relative_lower", "relative_upper"), relative, strict=True))
    signs = np.sign(np.round((pairs["mine"] - pairs["best"]).to_numpy(), 12))
    return row | {
        "wins": float((signs > 0).mean()), "ties": float((signs == 0).mean()),
        "losses": float((signs < 0).mean()),
    }  # fmt: skip


def _interval(pairs: pl.DataFrame, value: pl.Expr) -> tuple[float, float | None, float | None]:
    table = cluster_interval(
        pairs.with_columns(group=pl.lit(0)), ["group"], value, pl.lit(1.0)
    ).row(0, named=True)
    return table["mean"], _finite(table["lower"]), _finite(table["upper"])


def _ratio(pairs: pl.DataFrame) -> tuple[float | None, float | None, float | None]:
    """Relative gain Σ(mine − best) / Σ best, with a 95 % interval over clusters."""
    sums = pairs.group_by("cluster").agg(pl.col("mine").sum(), pl.col("best").sum()).sort("cluster")
    mine, best = sums["mine"].to_numpy(), sums["best"].to_numpy()
    if best.sum() <= 0:
        return None, None, None
    ratio = float((mine - best).sum() / best.sum())
    num = len(sums)
    influence = (mine - best - ratio * best) / best.sum()
    error = np.sqrt((influence**2).sum() * num / max(num - 1, 1))
    half = float(student_half_width(np.array([error]), np.array([num]), 0.95)[0])
    return ratio, _finite(ratio - half), _finite(ratio + half)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def matrix_rows(
    table: RouterTable, evaluated: np.ndarray, used: Sequence[np.ndarray]
) -> list[dict[str, object]]:
    """A row per language and teacher: share of prompts won, share routed to, and mean rewards.

    A prompt is won by the teacher with the highest routing reward; equal ones share it.

    Args:
        table: of the pool.
        evaluated: whether each prompt counts [prompts].
        used: rows that are used, by prompt.
    """
    best = np.full((len(table.prompts), len(table.teachers)), -np.inf)
    np.maximum.at(best, (table.prompt, table.teacher), table.reward)
    top = best == best.max(1, keepdims=True)
    wins = top / top.sum(1, keepdims=True)
    routed = np.zeros_like(wins)
    for i, rows in enumerate(used):
        np.add.at(routed[i], table.teacher[rows], 1 / len(rows))
    rewards, judged, right = map(table.means, (table.reward, table.judged, table.right))
    result: list[dict[str, object]] = []
    for language in sorted(set(table.languages[evaluated])):
        inside = evaluated & (table.languages == language)
        for j, teacher in enumerate(table.teachers):
            result.append({
                "language": str(language), "teacher": teacher, "prompts": int(inside.sum()),
                "answered": int((table.first[inside, j] >= 0).sum()),
                "won": float(wins[inside, j].mean()), "routed": float(routed[inside, j].mean()),
                "reward": _known_mean(rewards[inside, j]),
                "judged": _known_mean(judged[inside, j]),
                "in_language": _known_mean(right[inside, j]),
            })  # fmt: skip
    return result


def _known_mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
