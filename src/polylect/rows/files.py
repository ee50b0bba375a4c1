"""Reading and writing rows as Parquet or JSON lines; errors name file and line."""

import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from polylect.base import (
    InputError,
    atomic_file,
    check_leaf,
    decode,
    not_utf8,
    parse_json,
    refuse_pointer,
)
from polylect.rows.columns import row_dict

R = TypeVar("R")


def read_rows(path: Path, row_type: type[R]) -> Iterator[R]:
    """Iterate over the rows of a ``.parquet`` or ``.jsonl`` file.

    Nothing is skipped: the first row that does not fit raises an error with its place.

    Raises:
        InputError: no such file, not UTF-8, a broken line, an unknown or missing key, a value that
            the row type refuses; names file and line (Parquet: row, from 1).
    """
    for where, data in read_dicts(path):
        yield decode_row(row_type, data, where)


def decode_row(row_type: type[R], data: object, where: str) -> R:
    """One row from plain data; ``where`` begins every error, and is the row's ``place``."""
    if isinstance(data, dict):
        # Parquet files have null where there is no text.
        texts = _optional_texts(row_type)
        data = {name: v for name, v in data.items() if v is not None or name not in texts}
    try:
        row: Any = decode(row_type, data, where)
        for column in dataclasses.fields(row):
            check_leaf(getattr(row, column.name), f"{where}: {column.name!r}")
        return dataclasses.replace(row, place=where) if hasattr(row, "place") else row
    except InputError as error:
        if error.message.startswith(where):
            raise
        raise InputError(f"{where}: {error.message}", error.hint) from None


@lru_cache
def _optional_texts(row_type: Any) -> frozenset[str]:
    """Names of the columns of text that may be left out."""
    return frozenset(c.name for c in dataclasses.fields(row_type) if c.default == "")


def read_dicts(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and plain data of every row of a ``.parquet``, ``.jsonl`` or ``.ndjson`` file.

    JSON lines may be gzipped (``.jsonl.gz``).

    Raises:
        InputError: no such file, or a broken line; names file and line.
    """
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {problem}", "check the path")
    refuse_pointer(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        # Imported here: readers of JSON lines do without the 25 MB of pyarrow.
        from polylect.rows.parquet import parquet_dicts

        yield from parquet_dicts(path)
    elif name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        try:
            yield from _json_dicts(path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"{path}: not a whole gzip file ({error})", "download it again"
            ) from None
    else:
        raise InputError(f"{path}: unknown kind of file {path.suffix!r}", _conversion(path))


def _conversion(path: Path) -> str:
    """How a file of another kind becomes one that is read."""
    if path.suffix.lower() in {".csv", ".tsv"}:
        return (
            f'use .parquet, .jsonl or .ndjson: python -c "import polars as p; p.read_csv('
            f"'{path}'{_csv_options(path)}).write_parquet('{path.with_suffix('.parquet')}')\""
        )
    return "use .parquet, .jsonl or .ndjson"


def _csv_options(path: Path) -> str:
    """How polars reads this CSV file: its encoding, its separator, and ids as they are written."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
    try:
        text = raw.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError:
        encoding = "cp1252"
        text = raw.decode(encoding, "replace")
    header = text.partition("\n")[0].strip()
    separator = max(",;\t", key=header.count)
    options = f", encoding='{encoding}'" if encoding else ""
    if separator != ",":
        options += f", separator={separator!r}"
    names = [name.strip('"') for name in header.split(separator)]
    # "007" would become 7, and a language that is called no or nan stays text anyway.
    texts = [name for name in ("id", "voter", "language") if name in names]
    if texts:
        kinds = ", ".join(f"'{name}': p.String" for name in texts)
        options += f", schema_overrides={{{kinds}}}"
    return options


def _json_dicts(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"{path}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                start = 0 if "\0" in line else None
            except UnicodeDecodeError as error:
                line, start = "", error.start
            if start is not None:
                problem = f"{where}: not UTF-8 (byte {start} of the line)"
                raise not_utf8(path, raw, problem) from None
            if not line.strip():
                continue
            data = parse_json(line.rstrip("\r\n"), where)
            if not isinstance(data, dict):
                raise InputError(
                    f"{where}: a row is an object, this is {line.strip()[:40]!r}",
                    "write one object on every line, without a list around them",
                )
            yield where, data


def write_rows(path: Path, row_type: type[R], rows: Iterable[R]) -> int:
    """Write rows; returns their number. The file appears whole or not at all.

    Equal rows give equal bytes.

    Args:
        path: ends in ``.parquet`` or ``.jsonl``.
        row_type: gives the schema.
        rows: streamed in batches.
    """
    if path.suffix == ".jsonl":
        return _write_json(path, rows)
    assert path.suffix == ".parquet", path
    from polylect.rows.parquet import write_parquet

    return write_parquet(path, row_type, rows)


def _write_json(path: Path, rows: Iterable[object]) -> int:
    num_rows = 0
    with atomic_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row_dict(row), ensure_ascii=False, allow_nan=False) + "\n")
            num_rows += 1
    return num_rows
