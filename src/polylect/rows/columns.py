"""Which fields of a row a file keeps."""

from collections.abc import Container, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from polylect.base import plain

UNSTORED: Mapping[str, bool] = MappingProxyType({"unstored": True})
"""Metadata of a field that no file keeps."""
SPARSE: Mapping[str, bool] = MappingProxyType({"sparse": True})
"""Metadata of a field that a file keeps only if a row of it has another value than the default."""


def row_dict(row: Any, sparse: Container[str] = ()) -> dict[str, Any]:
    """Plain data of a row as a file keeps it; sparse fields with their default are left out.

    Args:
        row: a row.
        sparse: sparse fields that the file has a column for: they are kept.
    """
    data = plain(row)
    for column in fields(row):
        unset = "sparse" in column.metadata and getattr(row, column.name) == column.default
        if (unset and column.name not in sparse) or "unstored" in column.metadata:
            del data[column.name]
    return data


def sparse_fields(row_type: Any) -> tuple[str, ...]:
    """Names of the sparse fields of a row type."""
    return tuple(column.name for column in fields(row_type) if "sparse" in column.metadata)
