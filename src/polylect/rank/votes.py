"""Votes read from Parquet or JSON lines, a batch at a time: to counts, or to coded rows.

Two forms are read: polylect's (``verdict``: A, B, TIE, BOTH_BAD, INVALID) and LMArena's
(``winner``: model_a, model_b, tie, tie (bothbad)). Nothing is guessed: a row that does not fit ends
the reading with its place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polylect.base import InputError, Ledger
from polylect.rank._batches import INVALID, Batch, read_batches, seconds
from polylect.rank.counts import FloatArray, IntArray, PairCounts, sum_by

__all__ = ["VoteTable", "read_counts", "read_votes", "seconds"]

_COMPACT_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class VoteTable:
    """Votes as coded rows, in the order of the file, for what counts alone cannot tell.

    Attributes:
        models: names, sorted.
        a, b: (N,) positions of the two sides, as they were shown.
        outcome: (N,) 0 A won, 1 B won, 2 TIE, 3 BOTH_BAD.
        count: (N,) equal votes that the row stands for.
        codes: by column name, (N,) code of its value; −1 where the row has none.
        labels: by column name, the values that the codes stand for. A ``prompt`` has codes but no
            labels: its text is not kept.
        numbers: by column name, (N,) values, e.g. ``time`` in seconds since 1970, or the (a − b)
            difference of a feature.
        ledger: what was dropped.
    """

    models: tuple[str, ...]
    a: npt.NDArray[np.int32]
    b: npt.NDArray[np.int32]
    outcome: npt.NDArray[np.int8]
    count: FloatArray
    codes: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, FloatArray] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def __len__(self) -> int:
        return len(self.a)

    def counts(self, keep: npt.NDArray[np.bool_] | None = None) -> PairCounts:
        """Counts of all rows, or of those where ``keep`` is true; all models stay."""
        rows = slice(None) if keep is None else keep
        return PairCounts.from_cells(
            self.models,
            self.a[rows],
            self.b[rows],
            self.outcome[rows],
            self.count[rows],
            self.ledger,
        )

    def chosen(self, keep: npt.NDArray[np.bool_]) -> "VoteTable":
        """The rows where ``keep`` is true; all models stay."""
        return replace(
            self,
            a=self.a[keep],
            b=self.b[keep],
            outcome=self.outcome[keep],
            count=self.count[keep],
            codes={name: one[keep] for name, one in self.codes.items()},
            numbers={name: one[keep] for name, one in self.numbers.items()},
        )

    def restricted(self, models: Iterable[str]) -> "VoteTable":
        """The rows between the given models, and only those models; nothing copied if all are."""
        names = sorted(set(models))
        if names == list(self.models):
            return self
        place = np.full(len(self.models), -1, np.int32)
        place[[self.models.index(name) for name in names]] = np.arange(len(names))
        part = self.chosen((place[self.a] >= 0) & (place[self.b] >= 0))
        return replace(part, models=tuple(names), a=place[part.a], b=place[part.b])

    def code(self, column: str, value: str) -> int:
        """The code of a value; −1 for the empty one."""
        return self.labels[column].index(value) if value else -1

    def strata(self, column: str) -> dict[str, PairCounts]:
        """Counts by value of a coded column, in order of values; rows without one under ''.

        Each has only the models that have votes in it.
        """
        codes = self.codes[column]
        found: dict[str, PairCounts] = {}
        for code in np.unique(codes):
            counts = self.counts(codes == code)
            fought = [m for m, n in zip(counts.models, counts.battles, strict=True) if n]
            found["" if code < 0 else self.labels[column][code]] = counts.restricted(fought)
        return dict(sorted(found.items()))


def read_counts(path: Path) -> PairCounts:
    """Counts by pair and outcome of a file of votes, without holding the rows.

    Columns: ``model_a``, ``model_b``, ``verdict`` or ``winner``, optionally ``count``; an LMArena
    file's ``anony`` column leaves out the battles whose models were known, with a count.

    Raises:
        InputError: no such file, not a whole file, a missing column, an unknown verdict, a model
            that battles itself, a count that is not a whole number of 1 or more, no votes at all;
            names the row (from 1) and the value.
    """
    cells = _Cells()
    index: dict[str, int] = {}
    ledger = Ledger()
    for batch in read_batches(path, index, ledger):
        a, b, outcome, count = _valid(batch, ledger)
        cells.add(a, b, outcome, count)
    a, b, outcome, count = cells.all()
    _require_votes(path, len(a), ledger)
    return PairCounts.from_cells(list(index), a, b, outcome, count, ledger)


def read_votes(
    path: Path,
    codes: Sequence[str] = (),
    numbers: Sequence[str] = (),
    features: Sequence[str] = (),
) -> VoteTable:
    """Votes as coded rows: 17 bytes a row, and 4 for each code, 8 for each number.

    Args:
        path: ``.parquet``, ``.jsonl`` or ``.ndjson``.
        codes: columns of text to code, of ``language``, ``category``, ``voter``, ``prompt`` or any
            other; LMArena's ``judge`` is read as ``voter``.
        numbers: columns of numbers; ``time`` may also be a timestamp or ISO text, and is LMArena's
            ``tstamp``.
        features: names of style features. Of ``length`` the columns ``length_a`` and ``length_b``
            are read, or LMArena's ``conv_metadata`` for ``tokens``, ``headers``, ``lists`` and
            ``bold``; the number is (a − b) / (a + b), 0 where both are 0.

    Raises:
        InputError: as ``read_counts``; or a column that was asked for is missing.
    """
    index: dict[str, int] = {}
    ledger = Ledger()
    labels: dict[str, dict[str, int]] = {name: {} for name in codes}
    parts: list[tuple[npt.NDArray, ...]] = []
    names = [*codes, *numbers, *features]
    for batch in read_batches(path, index, ledger, tuple(codes), tuple(numbers), tuple(features)):
        valid = batch.outcome != INVALID
        _count_invalid(batch, ledger)
        columns = [batch.coded(name, labels[name]) for name in codes]
        columns += [batch.numbers[name] for name in [*numbers, *features]]
        a, b = batch.a.astype(np.int32), batch.b.astype(np.int32)
        count = np.ones(len(a), np.float32) if batch.count is None else batch.count
        parts.append(tuple(one[valid] for one in (a, b, batch.outcome, count, *columns)))
    _require_votes(path, sum(len(part[0]) for part in parts), ledger)
    # Column by column, so that the parts are given up as the whole is made.
    whole = [_joined(parts, i) for i in range(4 + len(names))]
    order = sorted(index)
    place = np.empty(len(order), np.int32)
    place[[index[name] for name in order]] = np.arange(len(order), dtype=np.int32)
    extra = dict(zip(names, whole[4:], strict=True))
    if "prompt" in extra:
        extra["prompt"] = _by_first_sight(extra["prompt"])
    return VoteTable(
        models=tuple(order),
        a=place[whole[0]],
        b=place[whole[1]],
        outcome=whole[2],
        count=whole[3].astype(np.float64),
        codes={name: extra[name] for name in codes},
        labels={name: tuple(values) for name, values in labels.items() if name != "prompt"},
        numbers={name: extra[name] for name in [*numbers, *features]},
        ledger=ledger,
    )


class _Cells:
    """Votes by (a, b, outcome), kept compact while they come in."""

    def __init__(self) -> None:
        self._keys: list[IntArray] = []
        self._counts: list[FloatArray] = []
        self._num_cells = 0

    def add(self, a: IntArray, b: IntArray, outcome: IntArray, count: FloatArray | None) -> None:
        if not len(a):
            return
        size = int(max(a.max(), b.max())) + 1
        key = (a * size + b) * 4 + outcome
        if size * size <= 4 * len(a):
            dense = sum_by(key, count, 1)
            key = np.flatnonzero(dense)
            sums = dense[key]
        else:
            key, row = np.unique(key, return_inverse=True)
            sums = sum_by(row, count, len(key))
        pair, outcome = np.divmod(key, 4)
        a, b = np.divmod(pair, size)
        self._keys.append((a << 34) | (b << 2) | outcome)
        self._counts.append(sums)
        self._num_cells += len(key)
        if self._num_cells > _COMPACT_CELLS:
            self._compact()

    def all(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        self._compact()
        key = self._keys[0]
        return key >> 34, (key >> 2) & 0xFFFFFFFF, key & 3, self._counts[0]

    def _compact(self) -> None:
        keys = np.concatenate([np.zeros(0, np.int64), *self._keys])
        counts = np.concatenate([np.zeros(0), *self._counts])
        key, row = np.unique(keys, return_inverse=True)
        self._keys, self._counts = [key], [sum_by(row, counts, len(key))]
        # Distinct cells do not shrink; only what comes after them counts towards the next round.
        self._num_cells = 0


def _valid(batch: Batch, ledger: Ledger) -> tuple[IntArray, IntArray, IntArray, FloatArray | None]:
    invalid = _count_invalid(batch, ledger)
    if not invalid.any():
        return batch.a, batch.b, batch.outcome.astype(np.int64), batch.count
    keep = ~invalid
    count = None if batch.count is None else batch.count[keep]
    return batch.a[keep], batch.b[keep], batch.outcome[keep].astype(np.int64), count


def _count_invalid(batch: Batch, ledger: Ledger) -> npt.NDArray[np.bool_]:
    invalid = batch.outcome == INVALID
    num = invalid.sum() if batch.count is None else batch.count[invalid].sum()
    ledger.count("dropped: invalid verdict", int(num))
    return invalid


def _joined(parts: list[tuple[npt.NDArray, ...]], column: int) -> npt.NDArray:
    return np.concatenate([part[column] for part in parts])


def _by_first_sight(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Codes in the order in which values first occur; −1 for hash 0."""
    values, at, rows = np.unique(hashes, return_index=True, return_inverse=True)
    codes = np.empty(len(values), np.int32)
    filled = np.flatnonzero(values != 0)
    codes[filled[np.argsort(at[filled])]] = np.arange(len(filled), dtype=np.int32)
    codes[values == 0] = -1
    return codes[rows]


def _require_votes(path: Path, num: int, ledger: Ledger) -> None:
    if num:
        return
    dropped = ", ".join(f"{n} {event}" for event, n in ledger.by_event().items())
    raise InputError(
        f"{path}: no votes" + (f" ({dropped})" if dropped else ""),
        "a row needs model_a, model_b and verdict (A, B, TIE, BOTH_BAD, INVALID)",
    )
