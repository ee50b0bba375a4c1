"""On which days each model was on the board, and the shares that it would have had by equal right.

A model that came on day 90 of 100 cannot have been shown before. Shares are compared with those of
the models that were live on the same day.
"""

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polylect.auditing.registry import Registry, parse_day
from polylect.ranking import FloatArray, VoteTable, sum_by


class LiveDays(NamedTuple):
    """The days of a table of votes.

    Attributes:
        day: (N,) day of each row; the first day with a vote is 0.
        num_votes: (D,) votes of each day.
        is_live: (D, M) whether each model of the table was on the board.
    """

    day: npt.NDArray[np.int64]
    num_votes: FloatArray
    is_live: npt.NDArray[np.bool_]


def live_days(table: VoteTable, registry: Registry | None = None) -> LiveDays:
    """The models that were on the board, day by day.

    A model is live from its first to its last vote; ``added`` and ``retired`` of the registry can
    only make that longer.

    Args:
        table: votes with ``time`` among the numbers.
        registry: dates of models.
    """
    absolute = np.floor_divide(table.numbers["time"], 86400.0).astype(np.int64)
    origin = int(absolute.min())
    day = absolute - origin
    num_days, size = int(day.max()) + 1, len(table.models)
    first, last = np.full(size, num_days), np.full(size, -1)
    for side in (table.a, table.b):
        np.minimum.at(first, side, day)
        np.maximum.at(last, side, day)
    epoch = date(1970, 1, 1)
    for i, model in enumerate(table.models):
        entry = registry.entry(model) if registry is not None else None
        if entry is None or last[i] < 0:
            continue
        added, retired = parse_day(entry.added, "added"), parse_day(entry.retired, "retired")
        if added is not None:
            first[i] = min(first[i], (added - epoch).days - origin)
        if retired is not None:
            # On the day of its retirement nobody knows whether it was still shown.
            last[i] = max(last[i], (retired - epoch).days - origin - 1)
    days = np.arange(num_days)[:, None]
    return LiveDays(day, sum_by(day, table.count, num_days), (first <= days) & (days <= last))


def equal_shares(
    is_live: npt.NDArray[np.bool_], group_of: npt.NDArray[np.integer], num_groups: int
) -> tuple[FloatArray, FloatArray]:
    """(D, G) by day: share of all pairs with a model of each group, and of all models in it.

    Args:
        is_live: (D, M) which models are on the board.
        group_of: (M,) group of each model.
        num_groups: G.
    """
    members = is_live @ np.eye(num_groups)[group_of]  # (D, G)
    total = is_live.sum(1)[:, None].astype(np.float64)
    others = total - members
    pairs = 1.0 - others * (others - 1.0) / np.maximum(total * (total - 1.0), 1.0)
    return np.where(total > 1, pairs, 0.0), members / np.maximum(total, 1.0)
