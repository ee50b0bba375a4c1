"""Tables where files may stand: polars, pandas, Arrow, or a list of rows."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from polylect.base import InputError, digest_bytes


def is_table(value: object) -> bool:
    """Whether a value is a table: a data frame, an Arrow table, or a list of dicts."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    if type(value).__name__ == "LazyFrame":  # its columns cost a pass
        return True
    return hasattr(value, "columns") and hasattr(value, "__len__")


def table_file(table: Any, name: str) -> Path:
    """A file with the rows of a table, under a name that its content decides.

    It lies in a temporary folder as long as Python runs: a result keeps the digest of the rows, not
    their place.

    Args:
        table: of polars, pandas or Arrow, or a list of dicts.
        name: what the file is called, before its digest.

    Raises:
        InputError: the table cannot be written as JSON lines or Parquet.
    """
    if isinstance(table, list | tuple):
        data, suffix = _json_lines(table, name), "jsonl"
    else:
        data, suffix = _parquet(table), "parquet"
    # The name is a part of a file's digest, so it must not hold the place or the time.
    folder = table_folder() / digest_bytes(data)[:12]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{suffix}"
    path.write_bytes(data)
    return path


def _json_lines(rows: Any, name: str) -> bytes:
    import json

    lines = []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append(json.dumps(dict(row), ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name}: row {number}: {error}", "give text, numbers and lists"
            ) from None
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _parquet(table: Any) -> bytes:
    import io

    import polars

    frame = table
    if isinstance(table, polars.LazyFrame):
        frame = table.collect()
    elif type(table).__module__.startswith("pandas"):
        frame = polars.from_pandas(table)
    elif not isinstance(table, polars.DataFrame):
        frame = polars.DataFrame(table)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@lru_cache(1)
def table_folder() -> Path:
    """A temporary folder that lies there as long as Python runs."""
    folder = Path(tempfile.mkdtemp(prefix="polylect-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
