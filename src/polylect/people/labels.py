"""Who labeled which pair of texts how, a pair's sides in a fixed order."""

from dataclasses import dataclass

import numpy as np

from polylect.people.crowd import Crowd

_DIRECT = 50_000_000
"""Numbers below this are renumbered by a table, others by sorting."""


@dataclass(frozen=True)
class Labels:
    """The labels of a crowd, one per user and item; an item is two texts that were compared.

    Entries are sorted by user, then by item.

    Attributes:
        num_users: of the crowd.
        first, second: the texts of each item, the smaller number first, int32 [items].
        user, item: of each entry, int32 [entries].
        label: 1 where the first text is preferred, -1 where the second, 0 where a user who labeled
            it repeatedly preferred each as often, int8 [entries].
        num_labels: how often the user labeled the item, int32 [entries].
        num_first: how often the first text was preferred, int32 [entries].
    """

    num_users: int
    first: np.ndarray
    second: np.ndarray
    user: np.ndarray
    item: np.ndarray
    label: np.ndarray
    num_labels: np.ndarray
    num_first: np.ndarray

    @property
    def num_items(self) -> int:
        """How many pairs of texts were compared."""
        return len(self.first)


def labels_of(crowd: Crowd) -> Labels:
    """The labels of a crowd; a user's labels of one item count once, by their majority."""
    num_texts = len(crowd.texts)
    low, high = np.minimum(crowd.chosen, crowd.rejected), np.maximum(crowd.chosen, crowd.rejected)
    keys, item = renumbered(low.astype(np.int64) * num_texts + high, num_texts**2)
    entry_key = crowd.user.astype(np.int64) * len(keys) + item
    order = np.arange(len(entry_key))
    if (entry_key[1:] < entry_key[:-1]).any():
        order = np.argsort(entry_key, kind="stable")
        entry_key = entry_key[order]
    starts = np.flatnonzero(np.r_[True, entry_key[1:] != entry_key[:-1]])
    num_labels = np.diff(np.r_[starts, len(order)]).astype(np.int32)
    is_first = (crowd.chosen == low)[order]
    num_first = np.add.reduceat(is_first.astype(np.int32), starts) if len(order) else num_labels
    entries = order[starts]
    return Labels(
        len(crowd.users),
        (keys // num_texts).astype(np.int32),
        (keys % num_texts).astype(np.int32),
        crowd.user[entries],
        item[entries].astype(np.int32),
        np.sign(2 * num_first - num_labels).astype(np.int8),
        num_labels,
        num_first,
    )


def renumbered(keys: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The different keys in order, and the place of each key among them.

    Args:
        keys: whole numbers from 0, int64.
        end: all are below.
    """
    if end > _DIRECT:
        return np.unique(keys, return_inverse=True)
    is_there = np.zeros(end, bool)
    is_there[keys] = True
    places = np.cumsum(is_there, dtype=np.int32) - 1
    return np.flatnonzero(is_there), places[keys]
