"""A file of votes as batches of coded columns: what is common to Parquet and JSON lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polylect.base import InputError, Ledger, did_you_mean
from polylect.ranking.counts import OUTCOMES, FloatArray, IntArray
from polylect.rows import Verdict, read_dicts

INVALID = len(OUTCOMES)
_BATCH_ROWS = 1 << 17
_LMARENA = {"model_a": 0, "model_b": 1, "tie": 2, "tie (bothbad)": 3, "both_bad": 3}
_POLYLECT = {verdict.value: i for i, verdict in enumerate([*OUTCOMES, Verdict.INVALID])}
_ALIASES = {"voter": "judge", "time": "tstamp"}
_STYLE = {
    "tokens": "sum_assistant_{}_tokens",
    "headers": "header_count_{}",
    "lists": "list_count_{}",
    "bold": "bold_count_{}",
}


@dataclass(eq=False)
class Batch:
    """Some rows: sides as positions in the shared index, outcome (4: INVALID), and extra columns.

    ``count`` is None where every row is one vote.
    """

    a: IntArray
    b: IntArray
    outcome: npt.NDArray[np.int8]
    count: FloatArray | None
    texts: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    numbers: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    """Which columns of the file are read as what; empty names are not there."""

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
        sides = [f"{one}_{side}" for one in self.features for side in "ab"]
        one_each = [self.verdict, self.count, self.anonymous, self.metadata]
        wanted = ["model_a", "model_b", *one_each, *self.texts.values(), *self.numbers.values()]
        return list(
            dict.fromkeys(name for name in [*wanted, *([] if self.metadata else sides)] if name)
        )


def read_batches(
    path: Path,
    index: dict[str, int],
    ledger: Ledger,
    codes: Sequence[str] = (),
    numbers: Sequence[str] = (),
    features: Sequence[str] = (),
) -> Iterator[Batch]:
    """Batches of a file, in order; ``index`` grows by the models that are met.

    Raises:
        InputError: see ``votes.read_counts``.
    """
    row = 0
    for where, table in _tables(path, codes, numbers, features):
        plan = _plan(path, table.schema.names, codes, numbers, features)
        place = where or (lambda i, start=row: f"{path}: row {start + i + 1}")
        row += table.num_rows
        yield _batch(plan, table, index, ledger, place)


def _tables(path: Path, *wanted: Sequence[str]) -> Iterator[tuple[Any, pa.RecordBatch]]:
    """Record batches, each with a function from row number to place (None: count the rows)."""
    if path.suffix != ".parquet":
        rows = read_dicts(path)
        seen: dict[str, None] = {}
        while chunk := list(islice(rows, _BATCH_ROWS // 8)):
            places = [where for where, _ in chunk]
            # A key that some row had may be left out in others.
            seen.update(dict.fromkeys(name for _, data in chunk for name in data))
            keep = _plan(path, list(seen), *wanted).needed()
            yield places.__getitem__, _from_dicts([data for _, data in chunk], keep, places)
        return
    if not path.is_file():
        raise InputError(f"{path}: no such file", "check the path")
    try:
        with pq.ParquetFile(path) as file:
            needed = _plan(path, file.schema_arrow.names, *wanted).needed()
            texts = [n for n in needed if pa.types.is_string(file.schema_arrow.field(n).type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=needed):
                yield None, batch
    except (pa.ArrowException, EOFError, OSError) as error:
        what = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a whole Parquet file ({what})", "copy it again") from None


def _from_dicts(
    rows: list[dict[str, Any]], keep: Sequence[str], places: list[str]
) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {}
    for name in keep:
        # As in rows.Battle: a row without a count is one vote; one with an empty count is wrong.
        values = [row.get(name, 1 if name == "count" else None) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            kinds = [type(value) for value in values]
            odd = next(i for i, kind in enumerate(kinds) if kind not in {kinds[0], type(None)})
            raise InputError(
                f"{places[odd]}: {name!r} is {values[odd]!r}, other rows have a {kinds[0].__name__}"
            ) from None
    return pa.RecordBatch.from_pydict(columns)


def _plan(
    path: Path,
    names: Sequence[str],
    codes: Sequence[str],
    numbers: Sequence[str],
    features: Sequence[str],
) -> _Plan:
    for name in ("model_a", "model_b"):
        _require(path, name, names)
    if "verdict" not in names and "winner" not in names:
        _require(path, "verdict", names)
    metadata = ""
    for name in features:
        if name in _STYLE and f"{name}_a" not in names and "conv_metadata" in names:
            metadata = "conv_metadata"
        else:
            _require(path, f"{name}_a", names)
            _require(path, f"{name}_b", names)
    return _Plan(
        path=path,
        verdict="verdict" if "verdict" in names else "winner",
        count="count" if "count" in names else "",
        anonymous="anony" if "anony" in names else "",
        texts={name: _require(path, name, names) for name in codes},
        numbers={name: _require(path, name, names) for name in numbers},
        features=tuple(features),
        metadata=metadata,
    )


def _require(path: Path, name: str, names: Sequence[str]) -> str:
    """The column of that name, or of LMArena's name for it."""
    if name in names:
        return name
    alias = _ALIASES.get(name, "")
    if alias in names:
        return alias
    raise InputError(
        f"{path}: no column {name!r}",
        did_you_mean(name, names) or f"the file has {', '.join(map(repr, names)) or 'none'}",
    )


def _batch(
    plan: _Plan, table: pa.RecordBatch, index: dict[str, int], ledger: Ledger, place: Any
) -> Batch:
    if plan.anonymous:
        table, place = _anonymous(table, plan.anonymous, ledger, place)
    a, b = (_models(table, name, index, place) for name in ("model_a", "model_b"))
    if len(own := np.flatnonzero(a == b)):
        name = list(index)[a[own[0]]]
        raise InputError(f"{place(own[0])}: {name!r} battles itself", "remove the row")
    batch = Batch(a, b, _outcomes(table, plan.verdict, place), _counts(table, plan.count, place))
    for name, column in plan.texts.items():
        batch.texts[name] = _dictionary(table.column(column))
    for name, column in plan.numbers.items():
        batch.numbers[name] = _numbers(table.column(column), column, place)
    for name in plan.features:
        left, right = (_side(table, plan, name, side, place) for side in "ab")
        total = np.abs(left) + np.abs(right)
        batch.numbers[name] = np.divide(
            left - right, total, out=np.zeros_like(left), where=total > 0
        )
    return batch


def _anonymous(
    table: pa.RecordBatch, column: str, ledger: Ledger, place: Any
) -> tuple[pa.RecordBatch, Any]:
    shown = table.column(column).fill_null(False).to_numpy(zero_copy_only=False)
    keep = np.flatnonzero(shown.astype(bool))
    ledger.count("dropped: not anonymous", table.num_rows - len(keep))
    if len(keep) == table.num_rows:
        return table, place
    return table.take(pa.array(keep)), lambda i: place(int(keep[i]))


def _dictionary(column: pa.Array) -> pa.DictionaryArray:
    if isinstance(column, pa.DictionaryArray):
        return column
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    return column.dictionary_encode()


def _models(table: pa.RecordBatch, name: str, index: dict[str, int], place: Any) -> IntArray:
    column = table.column(name)
    kind = column.type.value_type if isinstance(column, pa.DictionaryArray) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        found = next((i for i, one in enumerate(column.to_pylist()) if not isinstance(one, str)), 0)
        raise InputError(f"{place(found)}: {name!r} is {column[found].as_py()!r}, not a name")
    coded = _dictionary(column)
    empty = coded.is_null().to_numpy(zero_copy_only=False)
    values = coded.dictionary.to_pylist()
    rows = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    if "" in values:
        empty |= rows == values.index("")
    if empty.any():
        raise InputError(f"{place(int(np.flatnonzero(empty)[0]))}: {name!r} is empty")
    # Only values that occur: a dictionary may be longer than its batch.
    used = np.bincount(rows, minlength=len(values)) > 0
    codes = [
        index.setdefault(value, len(index)) if used[i] else -1 for i, value in enumerate(values)
    ]
    return np.array([*codes, -1], np.int64)[rows]


def _outcomes(table: pa.RecordBatch, name: str, place: Any) -> npt.NDArray[np.int8]:
    known: Mapping[str, int] = _POLYLECT if name == "verdict" else _LMARENA
    coded = _dictionary(table.column(name))
    codes = [known.get(value, -1) for value in coded.dictionary.to_pylist()]
    rows = coded.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
    outcome = np.array([*codes, -1], np.int8)[rows]
    wrong = np.flatnonzero(outcome < 0)
    if len(wrong):
        value = table.column(name)[int(wrong[0])].as_py()
        hint = did_you_mean(str(value), known) or f"use {', '.join(known)}"
        raise InputError(f"{place(int(wrong[0]))}: unknown {name} {value!r}", hint)
    return outcome


def _counts(table: pa.RecordBatch, name: str, place: Any) -> FloatArray | None:
    if not name:
        return None
    count = _numbers(table.column(name), name, place)
    wrong = np.flatnonzero(~(count >= 1) | ~np.isfinite(count) | (count != np.floor(count)))
    if len(wrong):
        value = table.column(name)[int(wrong[0])].as_py()
        raise InputError(
            f"{place(int(wrong[0]))}: {name!r} is {value}", "counts are whole numbers of 1 or more"
        )
    return count


def _numbers(column: pa.Array, name: str, place: Any) -> FloatArray:
    if isinstance(column, pa.DictionaryArray) or pa.types.is_string(column.type):
        texts = enumerate(column.to_pylist())
        values = [seconds(text or "", f"{place(i)}: {name!r}") for i, text in texts]
        return np.array(values, np.float64)
    if pa.types.is_timestamp(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
        return column.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"{place(0)}: {name!r} is {column[0].as_py()!r}, not a number")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(f"{place(row)}: {name!r} is missing")
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def seconds(text: str, where: str) -> float:
    """Seconds since 1970 of an ISO time (UTC unless it says otherwise) or of a number in words.

    Raises:
        InputError: it is neither; begins with ``where``.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{where} is {text!r}, neither a number nor an ISO time", "e.g. 2025-04-29T12:00:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _side(table: pa.RecordBatch, plan: _Plan, name: str, side: str, place: Any) -> FloatArray:
    """Values of a feature on one side; a struct of counts (LMArena's headers) is summed."""
    column = f"{name}_{side}"
    if plan.metadata and name in _STYLE and column not in table.schema.names:
        key = _STYLE[name].format(side)
        struct = table.column(plan.metadata)
        if struct.type.get_field_index(key) < 0:
            raise InputError(f"{plan.path}: no {key!r} in 'conv_metadata'")
        values = struct.field(key)
        if pa.types.is_struct(values.type):
            parts = [_numbers(one.fill_null(0), key, place) for one in values.flatten()]
            return np.sum(parts, axis=0)
    else:
        values = table.column(column)
    found = _numbers(values, column, place)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise InputError(f"{place(int(wrong[0]))}: {column!r} is {found[wrong[0]]}")
    return found
