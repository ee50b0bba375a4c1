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
from polylect.ranking._batches import INVALID, Batch, read_batches, seconds
from polylect.ranking._cells import Cells
from polylect.ranking._codes import HashCodes, TextCodes, used_values
from polylect.ranking.counts import FloatArray, PairCounts

__all__ = ["VoteTable", "read_counts", "read_strata", "read_votes", "seconds"]

_BLOCK_ROWS = 1 << 18


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
        cells = Cells()
        for start in range(0, len(self), _BLOCK_ROWS):
            rows = np.s_[start : start + _BLOCK_ROWS]
            inside = slice(None) if keep is None else keep[rows]
            cells.add(
                self.a[rows][inside],
                self.b[rows][inside],
                self.outcome[rows][inside],
                self.count[rows][inside],
            )
        return PairCounts.from_cells(self.models, *cells.all(), self.ledger)

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
            name = "" if code < 0 else self.labels[column][code]
            found[name] = self.counts(codes == code).fought()
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
    cells = Cells()
    index: dict[str, int] = {}
    ledger = Ledger()
    for batch in read_batches(path, index, ledger):
        keep = _valid(batch, ledger)
        count = None if batch.count is None else batch.count[keep]
        cells.add(batch.a[keep], batch.b[keep], batch.outcome[keep], count)
    found = cells.all()
    _require_votes(path, len(found[0]), ledger)
    return PairCounts.from_cells(list(index), *found, ledger)


def read_strata(path: Path, column: str) -> tuple[PairCounts, dict[str, PairCounts]]:
    """Counts of all votes, and by value of a column, without holding the rows.

    Args:
        path: as for ``read_counts``.
        column: a column of text with few values, such as ``language``.

    Returns:
        all counts; and by value, in order, those of its votes, with only the models in them. Rows
        without a value are under ''.

    Raises:
        InputError: as ``read_counts``; or there is no such column.
    """
    parts: dict[str, Cells] = {}
    index: dict[str, int] = {}
    ledger = Ledger()
    for batch in read_batches(path, index, ledger, (column,)):
        keep = _valid(batch, ledger)
        code, values = used_values(batch.texts[column], keep)
        a, b, outcome = batch.a[keep], batch.b[keep], batch.outcome[keep]
        names = [*values.to_pylist(), ""]
        for one in np.unique(code):
            rows = code == one
            count = None if batch.count is None else batch.count[keep][rows]
            parts.setdefault(names[one], Cells()).add(a[rows], b[rows], outcome[rows], count)
    models = list(index)
    strata, whole = {}, []
    for name in sorted(parts):
        whole.append(parts[name].all())
        counts = PairCounts.from_cells(models, *whole[-1])
        strata[name] = counts.fought()
    _require_votes(path, len(whole), ledger)
    a, b, outcome, count = (np.concatenate(one) for one in zip(*whole, strict=True))
    return PairCounts.from_cells(models, a, b, outcome, count, ledger), strata


def read_votes(
    path: Path,
    codes: Sequence[str] = (),
    numbers: Sequence[str] = (),
    features: Sequence[str] = (),
) -> VoteTable:
    """Votes as coded rows: 9 bytes a row, 4 for each code, 8 for each number and for counts.

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
    texts = {name: HashCodes() if name == "prompt" else TextCodes() for name in codes}
    columns: dict[str, list[npt.NDArray]] = {name: [] for name in ("a", "b", "outcome", "count")}
    columns |= {name: [] for name in [*numbers, *features]}
    counted = False
    for batch in read_batches(path, index, ledger, tuple(codes), tuple(numbers), tuple(features)):
        keep = _valid(batch, ledger)
        columns["a"].append(batch.a[keep].astype(np.int32))
        columns["b"].append(batch.b[keep].astype(np.int32))
        columns["outcome"].append(batch.outcome[keep])
        counted |= batch.count is not None
        one = _ones(len(keep)) if batch.count is None else batch.count
        columns["count"].append(one[keep] if counted else one[: int(keep.sum())])
        for name in (*numbers, *features):
            columns[name].append(batch.numbers[name][keep])
        for name, coder in texts.items():
            coder.add(batch.texts[name], keep)
    num = sum(len(part) for part in columns["a"])
    _require_votes(path, num, ledger)
    order = sorted(index)
    place = np.empty(len(order), np.int32)
    place[[index[name] for name in order]] = np.arange(len(order), dtype=np.int32)
    coded = {name: coder.finish() for name, coder in texts.items()}
    return VoteTable(
        models=tuple(order),
        a=_joined(columns.pop("a"), place),
        b=_joined(columns.pop("b"), place),
        outcome=_joined(columns.pop("outcome")),
        count=_joined(columns.pop("count")) if counted else _ones(num),
        codes={name: found for name, (found, _) in coded.items()},
        labels={name: labels for name, (_, labels) in coded.items() if labels is not None},
        numbers={name: _joined(columns.pop(name)) for name in (*numbers, *features)},
        ledger=ledger,
    )


def _ones(num: int) -> FloatArray:
    """(num,) ones that take no memory; not to be written to."""
    return np.broadcast_to(np.float64(1.0), (num,))


def _joined(parts: list[npt.NDArray], place: npt.NDArray | None = None) -> npt.NDArray:
    """The parts as one, given up as they are copied; as positions in ``place``, if there is one."""
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    start = len(whole)
    while parts:
        part = parts.pop()
        start -= len(part)
        whole[start : start + len(part)] = part if place is None else place[part]
    return whole


def _valid(batch: Batch, ledger: Ledger) -> npt.NDArray[np.bool_]:
    """Rows with a verdict that is not INVALID; those go to the ledger."""
    invalid = batch.outcome == INVALID
    num = invalid.sum() if batch.count is None else batch.count[invalid].sum()
    ledger.count("dropped: invalid verdict", int(num))
    return ~invalid


def _require_votes(path: Path, num: int, ledger: Ledger) -> None:
    if num:
        return
    dropped = ", ".join(f"{n} {event}" for event, n in ledger.by_event().items())
    raise InputError(
        f"{path}: no votes" + (f" ({dropped})" if dropped else ""),
        "a row needs model_a, model_b and verdict (A, B, TIE, BOTH_BAD, INVALID)",
    )
