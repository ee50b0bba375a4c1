"""Arrow schemas of the row types, derived from their fields, so that the two never differ."""

import enum
import types
import typing
from collections.abc import Container
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


@lru_cache
def arrow_schema(row_type: type, left_out: tuple[str, ...] = ()) -> pa.Schema:
    """The Arrow schema of a row dataclass; its metadata names the type.

    Fields without a default are not nullable.

    Args:
        row_type: a dataclass.
        left_out: names of fields that get no column.
    """
    return pa.schema(_fields(row_type, left_out), metadata={"polylect.row": row_type.__name__})


def _fields(row_type: Any, left_out: Container[str] = ()) -> list[pa.Field]:
    hints = typing.get_type_hints(row_type)
    return [
        pa.field(
            column.name,
            _arrow_type(hints[column.name]),
            nullable=column.default is not MISSING and column.default is None,
        )
        for column in fields(row_type)
        if column.name not in left_out and "unstored" not in column.metadata
    ]


def _arrow_type(hint: Any) -> pa.DataType:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _arrow_type(next(inner for inner in arguments if inner is not type(None)))
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    if is_dataclass(hint):
        return pa.struct(_fields(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return pa.string()
    return _SCALARS[hint]
