"""Duplicate prompts: the share of votes on repeated prompts, and a cap on frequent ones."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from polylect.base import InputError
from polylect.ranking import FloatArray, VoteTable
from polylect.stats import share_of_counts


@dataclass(frozen=True, slots=True)
class Duplication:
    """Share of votes on a prompt that came before.

    Attributes:
        period: ``2025-01`` for a month; empty for all votes.
        num_votes: votes with a prompt.
        share: share of these votes whose exact prompt came earlier in the period.
        lower, upper: 95 % limits, with prompts as the independent units.
        from_before: share whose exact prompt came in the period before; None for the first period.
    """

    period: str
    num_votes: int
    share: float
    lower: float
    upper: float
    from_before: float | None


def duplication(table: VoteTable, *, by_month: bool = True) -> tuple[Duplication, ...]:
    """Exact duplicates of prompts: over all votes first, then month by month.

    "The Leaderboard Illusion" (section on data access) counts within months. The interval is that
    of a ratio of sums over prompts (delta method), since the votes on a prompt are not independent.

    Args:
        table: votes with the coded column ``prompt``, and ``time`` among the numbers for months.
        by_month: also month by month, if the table has times.

    Returns:
        Nothing if no vote has a prompt.

    Does not: find near-duplicates; the texts are not kept.
    """
    if "prompt" not in table.codes:
        raise InputError("the votes have no prompts", "add a column 'prompt'")
    prompt = table.codes["prompt"]
    known = prompt >= 0
    if not known.any():
        return ()
    results = [_duplication("", prompt[known], table.count[known], None)]
    if by_month and "time" in table.numbers:
        month = months(table.numbers["time"])
        before: npt.NDArray[np.int32] | None = None
        for period in sorted(set(month[known])):
            rows = known & (month == period)
            results.append(_duplication(period, prompt[rows], table.count[rows], before))
            before = np.unique(prompt[rows])
    return tuple(results)


def months(seconds: FloatArray) -> npt.NDArray[np.str_]:
    """(N,) the UTC month of each time in seconds since 1970, e.g. ``2025-01``."""
    days, row = np.unique(np.floor_divide(seconds, 86400.0), return_inverse=True)
    names = [datetime.fromtimestamp(day * 86400.0, UTC).strftime("%Y-%m") for day in days]
    return np.array(names, dtype=str)[row] if len(names) else np.zeros(0, dtype=str)


def _duplication(
    period: str,
    prompt: npt.NDArray[np.int32],
    count: FloatArray,
    before: npt.NDArray[np.int32] | None,
) -> Duplication:
    values, row = np.unique(prompt, return_inverse=True)
    votes = np.bincount(row, count)
    total = float(votes.sum())
    share = share_of_counts(votes - 1.0, votes)
    from_before = None
    if before is not None:
        from_before = float(votes[np.isin(values, before)].sum()) / total
    return Duplication(period, round(total), share.value, share.lower, share.upper, from_before)
