"""Reads a file of votes, Parquet or JSON lines, as batches of coded columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polylect.base import InputError, Ledger, did_you_mean, refuse_pointer
from polylect.ranking._vote_times import check_times, parse_timestamp
from polylect.ranking._vote_values import count_ignored, from_dicts, problem, short
from polylect.ranking.counts import OUTCOMES, FloatArray, IntArray
from polylect.rows import Verdict, check_columns, check_utf8, read_dicts

_INVALID, _BATCH_ROWS = len(OUTCOMES), 1 << 17
_LMARENA_OUTCOMES = {"model_a": 0, "model_b": 1, "tie": 2, "tie (bothbad)": 3, "both_bad": 3}
_OUTCOMES = {verdict.value: i for i, verdict in enumerate([*OUTCOMES, Verdict.INVALID])}
_LMARENA_NAMES = {"voter": "judge", "time": "tstamp"}
_TIMES = {"time", _LMARENA_NAMES["time"]}
_LMARENA_STYLE = {"tokens": "sum_assistant_{}_tokens", "headers": "header_count_{}",
                  "lists": "list_count_{}", "bold": "bold_count_{}"}  # fmt: skip
_COUNTED_FEATURES = frozenset({*_LMARENA_STYLE, "length", "characters", "words"})


@dataclass(eq=False)
class VoteBatch:
    """Some rows of votes with a valid verdict.

    Attributes:
        a, b: the two sides, as positions in the index of models.
        outcome: position in ``OUTCOMES``.
        count: votes that each row stands for; None where every row is one vote.
        texts: columns of text that were asked for.
        numbers: columns of numbers and features that were asked for.
    """

    a: IntArray
    b: IntArray
    outcome: npt.NDArray[np.int8]
    count: FloatArray | None
    texts: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    numbers: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Request:
    """The columns that the caller wants besides models, verdict and count."""

    codes: Sequence[str]
    numbers: Sequence[str]
    features: Sequence[str]


@dataclass(frozen=True)
class _Columns:
    """Names of the file's columns by use; empty for a column that the file does not have."""

    path: Path
    verdict: str
    count: str
    anonymous: str
    texts: dict[str, str]
    numbers: dict[str, str]
    features: tuple[str, ...]
    metadata: str

    def needed(self) -> list[str]:
        """Names of the columns to read."""
        single = [self.verdict, self.count, self.anonymous, self.metadata]
        names = ["model_a", "model_b", *single, *self.texts.values(), *self.numbers.values()]
        if not self.metadata:
            names += [f"{feature}_{side}" for feature in self.features for side in "ab"]
        return list(dict.fromkeys(name for name in names if name))


def read_vote_batches(
    path: Path,
    index: dict[str, int],
    ledger: Ledger,
    codes: Sequence[str] = (),
    numbers: Sequence[str] = (),
    features: Sequence[str] = (),
) -> Iterator[VoteBatch]:
    """Batches of a file, in order; models that are met are added to ``index``.

    The ledger counts rows that are dropped: INVALID verdicts, and (LMArena) models that were known.

    Raises:
        InputError: see ``votes.read_counts``.
    """
    request = _Request(codes, numbers, features)
    first_row = 0
    for places, table in _tables(path, request, ledger):
        columns = _choose_columns(path, table.schema.names, request)
        where = places or (lambda i, first=first_row: f"{path}: row {first + i + 1}")
        first_row += table.num_rows
        yield _Rows(table, where).batch(columns, index, ledger)


def _tables(
    path: Path, request: _Request, ledger: Ledger
) -> Iterator[tuple[Callable[[int], str] | None, pa.RecordBatch]]:
    """Record batches, each with a function from row to place; None: number the rows."""
    if path.suffix != ".parquet":
        rows = read_dicts(path)
        seen: dict[str, None] = {}
        while chunk := list(islice(rows, _BATCH_ROWS // 8)):
            places = [place for place, _ in chunk]
            # A key that some row had may be left out in others.
            seen.update(dict.fromkeys(name for _, data in chunk for name in data))
            names = _choose_columns(path, list(seen), request).needed()
            count_ignored([data for _, data in chunk], names, ledger)
            yield places.__getitem__, from_dicts([data for _, data in chunk], names, places)
        return
    if not path.is_file():
        raise InputError(f"{path}: no such file", "check the path")
    refuse_pointer(path)
    try:
        with pq.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow.names)
            names = _choose_columns(path, file.schema_arrow.names, request).needed()
            count_ignored(file, names, ledger)
            texts = [n for n in names if _is_text(file.schema_arrow.field(n).type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                yield None, batch
    except (pa.ArrowException, EOFError, OSError) as error:
        what = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a whole Parquet file ({what})", "copy it again") from None


def _choose_columns(path: Path, names: Sequence[str], request: _Request) -> _Columns:
    for name in ("model_a", "model_b"):
        _require_column(path, name, names)
    if "verdict" not in names and "winner" not in names:
        _require_column(path, "verdict", names)
    metadata = ""
    for name in request.features:
        if name in _LMARENA_STYLE and f"{name}_a" not in names and "conv_metadata" in names:
            metadata = "conv_metadata"
        else:
            _require_column(path, f"{name}_a", names)
            _require_column(path, f"{name}_b", names)
    return _Columns(
        path=path,
        verdict="verdict" if "verdict" in names else "winner",
        count="count" if "count" in names else "",
        anonymous="anony" if "anony" in names else "",
        texts={name: _require_column(path, name, names) for name in request.codes},
        numbers={name: _require_column(path, name, names) for name in request.numbers},
        features=tuple(request.features),
        metadata=metadata,
    )


def _require_column(path: Path, name: str, names: Sequence[str]) -> str:
    """The column of that name, or of LMArena's name for it."""
    for option in (name, _LMARENA_NAMES.get(name, "")):
        if option in names:
            return option
    raise InputError(
        f"{path}: no column {name!r}",
        did_you_mean(name, names) or f"the file has {', '.join(map(repr, names)) or 'none'}",
    )


@dataclass(frozen=True)
class _Rows:
    """A table of votes, and where each of its rows stands in the file."""

    table: pa.RecordBatch
    where: Callable[[int], str]

    def batch(self, columns: _Columns, index: dict[str, int], ledger: Ledger) -> VoteBatch:
        """The columns, coded and checked."""
        rows = self._anonymous(columns.anonymous, ledger) if columns.anonymous else self
        a, b = rows._models("model_a", index), rows._models("model_b", index)
        if len(equal := np.flatnonzero(a == b)):
            name = list(index)[a[equal[0]]]
            raise InputError(f"{rows.where(equal[0])}: {name!r} battles itself", "remove the row")
        outcome = rows._outcomes(columns.verdict)
        batch = VoteBatch(a, b, outcome, rows._counts(columns.count) if columns.count else None)
        for name, column in columns.texts.items():
            batch.texts[name] = rows._texts(column)
        for name, column in columns.numbers.items():
            batch.numbers[name] = rows._numbers(rows.table.column(column), column)
            if name == "time":
                check_times(
                    batch.numbers[name], lambda i, name=column: f"{rows.where(i)}: {name!r}"
                )
        for name in columns.features:
            left, right = (rows._feature(columns, name, side) for side in "ab")
            total = np.abs(left) + np.abs(right)
            batch.numbers[name] = np.divide(
                left - right, total, out=np.zeros_like(left), where=total > 0
            )
        return _drop_invalid(batch, ledger)

    def _anonymous(self, column: str, ledger: Ledger) -> "_Rows":
        """The rows whose models were hidden from the voter; the ledger counts the others."""
        values = self.table.column(column)
        if not (pa.types.is_boolean(values.type) or pa.types.is_null(values.type)):
            row, value = self._first(column, values)
            raise InputError(f"{self.where(row)}: {column!r} is {short(value)}", "true or false")
        hidden = values.cast(pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False)
        keep = np.flatnonzero(hidden.astype(bool))
        ledger.count("dropped: not anonymous", self.table.num_rows - len(keep))
        if len(keep) == self.table.num_rows:
            return self
        return _Rows(self.table.take(pa.array(keep)), lambda i: self.where(int(keep[i])))

    def _models(self, name: str, index: dict[str, int]) -> IntArray:
        column = self.table.column(name)
        if not _is_text(column.type):
            row, value = self._first(name, column)
            raise InputError(f"{self.where(row)}: {name!r} {problem(value)}", "give a name")
        coded = self._texts(name)
        values = coded.dictionary.to_pylist()
        rows = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        blank = [i for i, value in enumerate([*values, ""]) if not value.strip()]
        for row in map(int, np.flatnonzero(np.isin(rows, blank))[:1]):
            value = column[row].as_py()
            raise InputError(f"{self.where(row)}: {name!r} {problem(value)}", "give a name")
        # Only values that occur: a dictionary may be longer than its batch.
        used = np.bincount(rows, minlength=len(values)) > 0
        codes = [
            index.setdefault(value, len(index)) if used[i] else -1 for i, value in enumerate(values)
        ]
        return np.array([*codes, -1], np.int64)[rows]

    def _first(self, name: str, column: pa.Array) -> tuple[int, object]:
        """Row and value of the first value of a column that is there."""
        for row in range(len(column)):
            check_utf8(column[row], f"{self.where(row)}: {name!r}")
            if column[row].as_py() is not None:
                return row, column[row].as_py()
        return 0, None

    def _texts(self, name: str) -> pa.DictionaryArray:
        """A column of text, coded; numbers are read as text."""
        column = self.table.column(name)
        kind = column.type
        if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            row, value = self._first(name, column)
            raise InputError(f"{self.where(row)}: {name!r} is {short(value)}", "give text")
        coded = _dictionary(column)
        try:
            coded.dictionary.validate(full=True)
        except pa.ArrowInvalid:
            for row in range(len(column)):
                check_utf8(column[row], f"{self.where(row)}: {name!r}")
            raise
        return coded

    def _outcomes(self, name: str) -> npt.NDArray[np.int8]:
        known: Mapping[str, int] = _OUTCOMES if name == "verdict" else _LMARENA_OUTCOMES
        coded = self._texts(name)
        codes = [known.get(value, -1) for value in coded.dictionary.to_pylist()]
        rows = coded.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
        outcome = np.array([*codes, -1], np.int8)[rows]
        wrong = np.flatnonzero(outcome < 0)
        if len(wrong):
            value = self.table.column(name)[int(wrong[0])].as_py()
            hint = did_you_mean(str(value), known) or f"use {', '.join(known)}"
            is_there = bool(str(value or "").strip())
            what = f"unknown {name} {value!r}" if is_there else f"{name!r} {problem(value)}"
            raise InputError(f"{self.where(int(wrong[0]))}: {what}", hint)
        return outcome

    def _counts(self, name: str) -> FloatArray:
        count = self._numbers(self.table.column(name), name)
        wrong = np.flatnonzero(~(count >= 1) | ~np.isfinite(count) | (count != np.floor(count)))
        if len(wrong):
            value = self.table.column(name)[int(wrong[0])].as_py()
            raise InputError(
                f"{self.where(int(wrong[0]))}: {name!r} is {value}",
                "counts are whole numbers of 1 or more",
            )
        return count

    def _numbers(self, column: pa.Array, name: str) -> FloatArray:
        if _is_text(column.type) and name in _TIMES:
            texts = enumerate(self._texts(name).to_pylist())
            values = [parse_timestamp(t or "", f"{self.where(i)}: {name!r}") for i, t in texts]
            return np.array(values, np.float64)
        if pa.types.is_timestamp(column.type):
            column = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
            return column.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise InputError(f"{self.where(row)}: {name!r} is missing", "give a number")
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            row, value = self._first(name, column)
            raise InputError(f"{self.where(row)}: {name!r} is {short(value)}", "give a number")
        return column.to_numpy(zero_copy_only=False).astype(np.float64)

    def _feature(self, columns: _Columns, name: str, side: str) -> FloatArray:
        """Values of a feature on one side; a struct of counts (LMArena's headers) is summed."""
        column = f"{name}_{side}"
        if columns.metadata and name in _LMARENA_STYLE and column not in self.table.schema.names:
            key = _LMARENA_STYLE[name].format(side)
            struct = self.table.column(columns.metadata)
            if not pa.types.is_struct(struct.type) or struct.type.get_field_index(key) < 0:
                raise InputError(
                    f"{columns.path}: no {key!r} in 'conv_metadata'", f"leave out --features {name}"
                )
            array = struct.field(key)
            if pa.types.is_struct(array.type):
                parts = [self._numbers(part.fill_null(0), key) for part in array.flatten()]
                return self._feature_values(name, column, np.sum(parts, axis=0))
        else:
            array = self.table.column(column)
        return self._feature_values(name, column, self._numbers(array, column))

    def _feature_values(self, name: str, column: str, values: FloatArray) -> FloatArray:
        """The values, where all are finite, and none is negative of a feature that counts."""
        wrong = np.flatnonzero(~np.isfinite(values))
        if not len(wrong) and name in _COUNTED_FEATURES:
            wrong = np.flatnonzero(values < 0)
        if len(wrong):
            words = "0 or more" if name in _COUNTED_FEATURES else "a finite number"
            raise InputError(
                f"{self.where(int(wrong[0]))}: {column!r} is {values[wrong[0]]:g}",
                f"give {words}, or remove the row",
            )
        return values


def _drop_invalid(batch: VoteBatch, ledger: Ledger) -> VoteBatch:
    keep = batch.outcome != _INVALID
    if keep.all():
        return batch
    num = (~keep).sum() if batch.count is None else batch.count[~keep].sum()
    ledger.count("dropped: invalid verdict", int(num))
    return VoteBatch(
        batch.a[keep],
        batch.b[keep],
        batch.outcome[keep],
        None if batch.count is None else batch.count[keep],
        {name: column.filter(pa.array(keep)) for name, column in batch.texts.items()},
        {name: values[keep] for name, values in batch.numbers.items()},
    )


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _dictionary(column: pa.Array) -> pa.DictionaryArray:
    if isinstance(column, pa.DictionaryArray):
        return column
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    return column.dictionary_encode()
