"""Rows of published data sets as their files have them: CSV, JSON, JSON lines, Parquet, tar."""

import csv
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polylect.base import InputError, read_json
from polylect.rows import columns_of, read_dicts


def published_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and plain data of every row.

    A JSON file is a list of objects, or an object of objects by id, which is then ``id`` of each.

    Args:
        path: ``.csv``, ``.tsv``, ``.json``, ``.tar.gz`` with one ``.tsv`` file of rows, or what
            ``read_dicts`` reads.

    Raises:
        InputError: no such file, or a row that is no object.
    """
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: no such file", "check the path")
    if name.endswith((".csv", ".tsv")):
        separator = "," if name.endswith(".csv") else "\t"
        yield from _table_rows(str(path), path.read_bytes(), separator)
    elif name.endswith(".tar.gz"):
        yield from _archived_rows(path)
    elif name.endswith(".json"):
        rows = _listed(read_json(path))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{path}: not a list of rows", "see the data set's description")
        for at, row in enumerate(rows, start=1):
            yield f"{path}: row {at}", row
    else:
        yield from read_dicts(path)


def _listed(value: Any) -> Any:
    """The rows of an object of objects, each with its key as ``id``."""
    if isinstance(value, dict) and all(isinstance(row, dict) for row in value.values()):
        return [{"id": key, **row} for key, row in value.items()]
    return value


def _table_rows(name: str, data: bytes, separator: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 (byte {error.start})", "write it as UTF-8") from None
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    for row in reader:
        if None in row:
            raise InputError(f"{name}:{reader.line_num}: more cells than columns", "check the file")
        yield f"{name}:{reader.line_num}", {k: v for k, v in row.items() if v not in (None, "")}


def _archived_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.name.endswith(".tsv")]
            for member in members:
                file = archive.extractfile(member)
                if file is not None:
                    yield from _table_rows(f"{path}/{member.name}", file.read(), "\t")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a whole archive ({error})", "copy it again") from None


def cell(row: Mapping[str, Any], name: str, place: str) -> Any:
    """A value that a row must have.

    Raises:
        InputError: it has none.
    """
    value = row.get(name)
    if value is None:
        raise InputError(f"{place}: {name!r} is missing", columns_of(row))
    return value


def number(value: Any, name: str, place: str) -> float:
    """A finite number, or text that is one.

    Raises:
        InputError: it is none.
    """
    try:
        result = float(value)
    except (TypeError, ValueError):
        result = float("nan")
    if isinstance(value, bool) or result - result != 0:
        raise InputError(f"{place}: {name!r} is {value!r}", "give a finite number")
    return result


def whole(value: Any) -> str:
    """Who somebody is, as text; a whole number that was read as 3.0 is 3."""
    text = str(value).strip()
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else text
