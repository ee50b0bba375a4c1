"""Reads votes from Parquet or JSON lines, a batch at a time, to counts or to coded rows.

Two forms are read: polylect's (``verdict``: A, B, TIE, BOTH_BAD, INVALID) and LMArena's
(``winner``: model_a, model_b, tie, tie (bothbad)). Nothing is guessed: a row that does not fit
raises an error that names its place.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polylect.base import InputError, Ledger, canonical_tag, count_look_alikes
from polylect.ranking._cell_counter import CellCounter
from polylect.ranking._column_encoders import DictionaryEncoder, HashEncoder, used_values
from polylect.ranking._vote_batches import read_vote_batches
from polylect.ranking.counts import FloatArray, PairCounts

_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True, eq=False)
class VoteTable:
    """Votes as coded rows, in the order of the file, for what counts cannot answer.

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
        ledger: votes that were dropped.
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
        counter = CellCounter()
        for start in range(0, len(self), _BLOCK_ROWS):
            rows = np.s_[start : start + _BLOCK_ROWS]
            inside = slice(None) if keep is None else keep[rows]
            counter.add(
                self.a[rows][inside],
                self.b[rows][inside],
                self.outcome[rows][inside],
                self.count[rows][inside],
            )
        return PairCounts.from_cells(self.models, *counter.cells(), self.ledger)

    def filter(self, keep: npt.NDArray[np.bool_]) -> "VoteTable":
        """The rows where ``keep`` is true; all models stay."""
        return replace(
            self,
            a=self.a[keep],
            b=self.b[keep],
            outcome=self.outcome[keep],
            count=self.count[keep],
            codes={name: values[keep] for name, values in self.codes.items()},
            numbers={name: values[keep] for name, values in self.numbers.items()},
        )

    def restricted(self, models: Iterable[str]) -> "VoteTable":
        """The rows between the given models, with only those models; the same table if all are."""
        names = sorted(set(models))
        if names == list(self.models):
            return self
        place = np.full(len(self.models), -1, np.int32)
        place[[self.models.index(name) for name in names]] = np.arange(len(names))
        part = self.filter((place[self.a] >= 0) & (place[self.b] >= 0))
        return replace(part, models=tuple(names), a=place[part.a], b=place[part.b])

    def code(self, column: str, value: str) -> int:
        """The code of a value; −1 for the empty one."""
        return self.labels[column].index(value) if value else -1

    def strata(self, column: str) -> dict[str, PairCounts]:
        """Counts by value of a coded column, in order of values; rows without a value under ''.

        Each stratum has only the models with votes in it.
        """
        codes = self.codes[column]
        strata: dict[str, PairCounts] = {}
        for code in np.unique(codes):
            name = "" if code < 0 else self.labels[column][code]
            strata[name] = self.counts(codes == code).drop_unfought()
        return dict(sorted(strata.items()))


def read_counts(path: Path) -> PairCounts:
    """Counts by pair and outcome of a file of votes, without keeping the rows in memory.

    Columns: ``model_a``, ``model_b``, ``verdict`` or ``winner``, optionally ``count``. With an
    ``anony`` column (LMArena), battles whose models were known are dropped; the ledger counts them.

    Raises:
        InputError: no such file, an incomplete file, a missing column, an unknown verdict, a model
            that battles itself, a count that is not a whole number of 1 or more, or no votes; names
            the row (from 1) and the value.
    """
    counter = CellCounter()
    index: dict[str, int] = {}
    ledger = Ledger()
    for batch in read_vote_batches(path, index, ledger):
        counter.add(batch.a, batch.b, batch.outcome, batch.count)
    cells = counter.cells()
    _require_votes(path, len(cells[0]), ledger)
    count_look_alikes(ledger, "models", index)
    return PairCounts.from_cells(list(index), *cells, ledger)


def read_strata(path: Path, column: str) -> tuple[PairCounts, dict[str, PairCounts]]:
    """Counts of all votes, and by value of a column, without keeping the rows in memory.

    Args:
        path: as for ``read_counts``.
        column: a column of text with few values, such as ``language``.

    Returns:
        Counts of all votes; and by value, in order, those of its votes, with only the models in
        them. Rows without a value are under ''.

    Raises:
        InputError: as ``read_counts``; or there is no such column.
    """
    counters: dict[str, CellCounter] = {}
    index: dict[str, int] = {}
    ledger = Ledger()
    for batch in read_vote_batches(path, index, ledger, (column,)):
        codes, values = used_values(batch.texts[column])
        names = [*_spelled(column, values.to_pylist()), ""]
        for code in np.unique(codes):
            rows = codes == code
            count = None if batch.count is None else batch.count[rows]
            counter = counters.setdefault(names[code], CellCounter())
            counter.add(batch.a[rows], batch.b[rows], batch.outcome[rows], count)
    models = list(index)
    cells = {name: counters[name].cells() for name in sorted(counters)}
    _require_votes(path, len(cells), ledger)
    count_look_alikes(ledger, "models", models)
    count_look_alikes(ledger, f"values of {column!r}", cells)
    strata = {
        name: PairCounts.from_cells(models, *part).drop_unfought() for name, part in cells.items()
    }
    a, b, outcome, count = (np.concatenate(parts) for parts in zip(*cells.values(), strict=True))
    return PairCounts.from_cells(models, a, b, outcome, count, ledger), strata


def read_votes(
    path: Path, codes: Sequence[str] = (), numbers: Sequence[str] = (), features: Sequence[str] = ()
) -> VoteTable:
    """Votes as coded rows: 9 bytes a row, plus 4 per code and 8 per number or count.

    Args:
        path: ``.parquet``, ``.jsonl`` or ``.ndjson``.
        codes: columns of text to code: ``language``, ``category``, ``voter``, ``prompt`` or any
            other. LMArena's ``judge`` is read as ``voter``.
        numbers: columns of numbers. ``time`` may also be a timestamp or ISO text, and may be called
            ``tstamp`` (LMArena); one outside 1970 to 2100, such as milliseconds, is refused.
        features: names of style features. ``length`` reads the columns ``length_a`` and
            ``length_b``; ``tokens``, ``headers``, ``lists`` and ``bold`` are also read from
            LMArena's ``conv_metadata``. The number is (a − b) / (a + b), 0 where both are 0.

    Raises:
        InputError: as ``read_counts``; or a requested column is missing.
    """
    index: dict[str, int] = {}
    ledger = Ledger()
    encoders = {name: HashEncoder() if name == "prompt" else DictionaryEncoder() for name in codes}
    columns: dict[str, list[npt.NDArray]] = {name: [] for name in ("a", "b", "outcome", "count")}
    columns |= {name: [] for name in [*numbers, *features]}
    has_counts = False
    for batch in read_vote_batches(path, index, ledger, codes, numbers, features):
        columns["a"].append(batch.a.astype(np.int32))
        columns["b"].append(batch.b.astype(np.int32))
        columns["outcome"].append(batch.outcome)
        has_counts |= batch.count is not None
        columns["count"].append(_ones(len(batch.a)) if batch.count is None else batch.count)
        for name in (*numbers, *features):
            columns[name].append(batch.numbers[name])
        for name, encoder in encoders.items():
            encoder.add(batch.texts[name])
    num = sum(len(part) for part in columns["a"])
    _require_votes(path, num, ledger)
    models = sorted(index)
    place = np.empty(len(models), np.int32)
    place[[index[name] for name in models]] = np.arange(len(models), dtype=np.int32)
    encoded = {name: _encoded(name, *encoder.finish()) for name, encoder in encoders.items()}
    count_look_alikes(ledger, "models", models)
    for name, (_, labels) in encoded.items():
        if labels is not None:
            count_look_alikes(ledger, f"values of {name!r}", labels)
    return VoteTable(
        models=tuple(models),
        a=_concatenate(columns.pop("a"), place),
        b=_concatenate(columns.pop("b"), place),
        outcome=_concatenate(columns.pop("outcome")),
        count=_concatenate(columns.pop("count")) if has_counts else _ones(num),
        codes={name: values for name, (values, _) in encoded.items()},
        labels={name: labels for name, (_, labels) in encoded.items() if labels is not None},
        numbers={name: _concatenate(columns.pop(name)) for name in (*numbers, *features)},
        ledger=ledger,
    )


def _ones(num: int) -> FloatArray:
    """(num,) ones that take no memory; read-only."""
    return np.broadcast_to(np.float64(1.0), (num,))


def _concatenate(parts: list[npt.NDArray], place: npt.NDArray | None = None) -> npt.NDArray:
    """The parts as one array; each is released once it is copied, to save memory.

    With ``place`` the values are indices into it.
    """
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    start = len(whole)
    while parts:
        part = parts.pop()
        start -= len(part)
        whole[start : start + len(part)] = part if place is None else place[part]
    return whole


def _require_votes(path: Path, num: int, ledger: Ledger) -> None:
    if num:
        return
    dropped = ", ".join(f"{n} {event}" for event, n in ledger.by_event().items())
    raise InputError(
        f"{path}: no votes" + (f" ({dropped})" if dropped else ""),
        "a row needs model_a, model_b and verdict (A, B, TIE, BOTH_BAD, INVALID)",
    )


def _spelled(column: str, values: Sequence[str]) -> list[str]:
    """Values of a column as they are kept: of ``language`` canonical tags, where they are tags."""
    return [_tag_or(value) for value in values] if column == "language" else list(values)


def _tag_or(value: str) -> str:
    """The canonical tag of a language; a value that is none (LMArena's ``unknown``) as it is.

    Spaces and characters that do not show are no part of a tag.
    """
    shown = "".join(char for char in value if unicodedata.category(char) != "Cf").strip()
    try:
        return canonical_tag(shown) if shown else ""
    except InputError:
        return value


def _encoded(
    column: str, codes: npt.NDArray[Any], labels: tuple[str, ...] | None
) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    """Codes and their sorted labels, where several may be spellings of one language."""
    if column != "language" or labels is None:
        return codes, labels
    spelled = _spelled(column, labels)
    kept = sorted({*spelled} - {""})
    new = np.array([kept.index(name) if name else -1 for name in spelled] + [-1], np.int32)
    return new[codes], tuple(kept)
