"""How far the users of a crowd agree with each other, in many resamples of the crowd at once.

Every resample is a weight per user (how often the user was drawn), so that counts per pair are
products of matrices. The majority that a user is compared with leaves out every copy of the user,
and is of ``MIN_OTHERS`` draws or more: what one other person says is no majority.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polylect.people.labels import Labels

HIGH_DIVERGENCE = 0.3
"""A pair diverges highly where the smaller side has a larger share (paper, section 3, as noted)."""
MIN_OTHERS = 2
"""A pair has a majority of the others where at least these prefer one of its texts."""
_DENSE = 0.05
_BLOCK_CELLS = 20_000_000


@dataclass(frozen=True)
class Agreements:
    """What the users of each resample agree on.

    Attributes:
        compared: items that at least two draws labeled [resamples].
        divergent: of these, items on which they differ.
        highly: of these, items whose smaller side has more than ``HIGH_DIVERGENCE``.
        overlap: items of each user on which the others have a majority [resamples, users].
        alone: items of each user on which the others are fewer than ``MIN_OTHERS``, but not none
            [resamples, users].
        agreed: of these, items on which the user is with them.
    """

    compared: np.ndarray
    divergent: np.ndarray
    highly: np.ndarray
    overlap: np.ndarray
    alone: np.ndarray
    agreed: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """Share of ``overlap`` on which each user agrees with the majority of the others.

        NaN where there is no overlap [resamples, users].
        """
        with np.errstate(invalid="ignore"):
            return self.agreed / self.overlap


def agreements(labels: Labels, weights: np.ndarray) -> Agreements:
    """Agreement of the users in every resample.

    Args:
        labels: of the crowd.
        weights: how often each user was drawn, whole numbers [resamples, users].
    """
    weights = weights.astype(np.float32)
    shape = weights.shape
    compared, divergent, highly = np.zeros((3, shape[0]))
    sums = Agreements(compared, divergent, highly, *np.zeros((3, *shape)))
    cells = labels.num_users * max(labels.num_items, 1)
    is_dense = len(labels.label) >= _DENSE * cells
    for block in _blocks(labels, shape[0], is_dense=is_dense):
        if is_dense:
            _add_dense(sums, block, weights)
        else:
            _add_sparse(sums, block, weights)
    return sums


@dataclass(frozen=True)
class _Block:
    """Entries of some items, numbered from 0; those without a preference are left out."""

    num_items: int
    user: np.ndarray
    item: np.ndarray
    label: np.ndarray


def _blocks(labels: Labels, num_resamples: int, *, is_dense: bool) -> Iterator[_Block]:
    order = np.argsort(labels.item, kind="stable")
    order = order[labels.label[order] != 0]
    item = labels.item[order]
    rows = labels.num_users if is_dense else num_resamples
    step = max(1, _BLOCK_CELLS // max(rows, 1))
    for start in range(0, labels.num_items, step):
        end = min(start + step, labels.num_items)
        part = order[slice(*np.searchsorted(item, [start, end]))]
        yield _Block(end - start, labels.user[part], labels.item[part] - start,
                     labels.label[part].astype(np.float32))  # fmt: skip


def _add_items(sums: Agreements, total: np.ndarray, margin: np.ndarray) -> None:
    """Count items, from their labels and the majority's margin [resamples, items]."""
    is_compared = total >= 2
    sums.compared[:] += is_compared.sum(1)
    sums.divergent[:] += (is_compared & (margin < total)).sum(1)
    # The smaller side's share is (total - margin) / (2 total); below 0.01 it is rounding.
    excess = total - margin - 2 * HIGH_DIVERGENCE * total
    sums.highly[:] += (is_compared & (excess > 0.01)).sum(1)


def _add_dense(sums: Agreements, block: _Block, weights: np.ndarray) -> None:
    table = np.zeros((weights.shape[1], block.num_items), np.float32)
    table[block.user, block.item] = block.label
    present = np.abs(table)
    balance = weights @ table
    margin, total = np.abs(balance), weights @ present
    _add_items(sums, total, margin)
    # Where the margin is beyond any user's weight, the others' majority is everybody's.
    most = weights.max(1, keepdims=True)
    is_clear = (margin > most) & (total >= most + MIN_OTHERS)
    clear = is_clear.astype(np.float32)
    there = clear @ present.T
    with_all = (there + (clear * np.sign(balance)) @ table.T) / 2
    sums.overlap[:] += there
    sums.agreed[:] += with_all
    for row in range(len(weights)):
        close = np.flatnonzero(~is_clear[row])
        side = table[:, close] * balance[row, close]
        others = np.where(present[:, close] > 0, total[row, close] - weights[row][:, None], 0)
        is_open = (side != weights[row][:, None]) & (others >= MIN_OTHERS)
        sums.alone[row] += ((others > 0) & (others < MIN_OTHERS)).sum(1)
        sums.overlap[row] += is_open.sum(1)
        sums.agreed[row] += (is_open & (side > weights[row][:, None])).sum(1)


def _add_sparse(sums: Agreements, block: _Block, weights: np.ndarray) -> None:
    from scipy.sparse import csr_array

    place = (block.item, block.user)
    shape = (block.num_items, weights.shape[1])
    table = csr_array((block.label, place), shape=shape)
    balance, total = (table @ weights.T).T, (abs(table) @ weights.T).T
    _add_items(sums, total, np.abs(balance))
    num_users = weights.shape[1]
    for row in range(len(weights)):
        side = block.label * balance[row][block.item]
        mine = weights[row][block.user]
        others = total[row][block.item] - mine
        is_alone = (others > 0) & (others < MIN_OTHERS)
        sums.alone[row] += np.bincount(block.user[is_alone], minlength=num_users)
        is_open = (side != mine) & (others >= MIN_OTHERS)
        sums.overlap[row] += np.bincount(block.user[is_open], minlength=num_users)
        sums.agreed[row] += np.bincount(block.user[is_open & (side > mine)], minlength=num_users)
