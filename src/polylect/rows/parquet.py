"""Rows in and out of Parquet files."""

from collections.abc import Iterable, Iterator
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
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS):
                for data in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", data
    except (pa.ArrowException, EOFError) as error:
        raise InputError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0][:80]})", "copy it again"
        ) from None


def write_parquet(path: Path, row_type: type, rows: Iterable[object]) -> int:
    """Number of rows written; see ``write_rows``."""
    sparse = sparse_fields(row_type)
    if sparse:  # which of them get a column is known once every row is
        rows = [*rows]
        sparse = tuple(name for name in sparse if not any(getattr(row, name) for row in rows))
    schema = arrow_schema(row_type, sparse)
    num_rows = 0
    with atomic_file(path) as temporary:
        try:
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for batch in _batches(rows):
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    num_rows += len(batch)
        except OSError as error:
            raise storage_error(error, path) from error
    return num_rows


def _batches(rows: Iterable[object]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row_dict(row))
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
