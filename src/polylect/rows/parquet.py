"""Rows in and out of Parquet files."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polylect.base import InputError, atomic_file, storage_error
from polylect.rows.columns import row_dict, sparse_fields
from polylect.rows.schema import arrow_schema

_BATCH_ROWS = 8192


def parquet_dicts(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and plain data of every row; see ``read_dicts``."""
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH_ROWS):
                for data in _rows(batch, path, number):
                    number += 1
                    yield f"{path}: row {number}", data
    except (pa.ArrowException, EOFError) as error:
        raise InputError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0][:80]})", "copy it again"
        ) from None


def _rows(batch: pa.RecordBatch, path: Path, before: int) -> list[dict[str, Any]]:
    """The rows of a batch; ``before`` others come before it in the file."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        for number, name in product(range(batch.num_rows), batch.schema.names):
            check_utf8(batch.column(name)[number], f"{path}: row {before + number + 1}: {name!r}")
        raise


def check_utf8(value: pa.Scalar, what: str) -> None:
    """Refuse a text of a Parquet file that is not UTF-8; ``what`` is its place and column."""
    try:
        value.as_py()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} is not UTF-8 (byte {error.start})", "write it again as UTF-8"
        ) from None


def check_columns(path: Path, names: Sequence[str]) -> None:
    """Refuse a table with two columns of one name: which was meant is not known.

    Raises:
        InputError: names the column.
    """
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: {names.count(name)} columns are called {name!r}",
                             "keep one of them")  # fmt: skip


def write_parquet(path: Path, row_type: type, rows: Iterable[object]) -> int:
    """Number of rows written; see ``write_rows``."""
    sparse = sparse_fields(row_type)
    if sparse:  # which of them get a column is known once every row is
        rows = [*rows]
    kept = tuple(name for name in sparse if any(getattr(row, name) for row in rows))
    schema = arrow_schema(row_type, tuple(name for name in sparse if name not in kept))
    num_rows = 0
    with atomic_file(path) as temporary:
        try:
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for batch in _batches(rows, kept):
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    num_rows += len(batch)
        except OSError as error:
            raise storage_error(error, path) from error
    return num_rows


def _batches(rows: Iterable[object], sparse: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row_dict(row, sparse))
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
