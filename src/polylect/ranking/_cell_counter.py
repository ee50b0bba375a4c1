"""Counting votes by (a, b, outcome) while they are read."""

import numpy as np
import numpy.typing as npt

from polylect.ranking.counts import FloatArray, IntArray, sum_by

_COMPACT_CELLS = 1 << 20


class CellCounter:
    """Counts of distinct (a, b, outcome) cells; memory grows with the distinct ones only."""

    def __init__(self) -> None:
        self._keys: list[IntArray] = []
        self._counts: list[FloatArray] = []
        self._num_cells = 0

    def add(
        self, a: npt.NDArray, b: npt.NDArray, outcome: npt.NDArray, count: FloatArray | None
    ) -> None:
        """Add rows; without a count each row is a vote."""
        if not len(a):
            return
        size = int(max(a.max(), b.max())) + 1
        key = (a.astype(np.int64) * size + b) * 4 + outcome
        if size * size <= 4 * len(a):
            dense = sum_by(key, count, 1)
            key = np.flatnonzero(dense)
            sums = dense[key]
        else:
            key, row = np.unique(key, return_inverse=True)
            sums = sum_by(row, count, len(key))
        pair, kind = np.divmod(key, 4)
        left, right = np.divmod(pair, size)
        self._keys.append((left << 34) | (right << 2) | kind)
        self._counts.append(sums)
        self._num_cells += len(key)
        if self._num_cells > _COMPACT_CELLS:
            self._compact()

    def cells(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """The distinct cells: a, b, outcome and count."""
        self._compact()
        key = self._keys[0]
        return key >> 34, (key >> 2) & 0xFFFFFFFF, key & 3, self._counts[0]

    def _compact(self) -> None:
        keys = np.concatenate([np.zeros(0, np.int64), *self._keys])
        counts = np.concatenate([np.zeros(0), *self._counts])
        key, row = np.unique(keys, return_inverse=True)
        self._keys, self._counts = [key], [sum_by(row, counts, len(key))]
        # Distinct cells do not shrink: the next compaction waits for as many new ones.
        self._num_cells = 0
