"""Arrow schemas of the row types, derived from their fields, so that the two never differ."""

import enum
import types
import typing
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
def arrow_schema(row_type: type) -> pa.Schema:
    """The Arrow schema of a row dataclass; its metadata names the type.

    Fields without a default are not nullable.
    """
    return pa.schema(_fields(row_type), metadata={"polylect.row": row_type.__name__})


def _fields(row_type: Any) -> list[pa.Field]:
    hints = typing.get_type_hints(row_type)
    return [
        pa.field(
            one.name,
            _arrow_type(hints[one.name]),
            nullable=one.default is not MISSING and one.default is None,
        )
        for one in fields(row_type)
    ]


def _arrow_type(hint: Any) -> pa.DataType:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _arrow_type(next(one for one in inside if one is not type(None)))
    if origin is tuple:
        return pa.list_(_arrow_type(inside[0]))
    if is_dataclass(hint):
        return pa.struct(_fields(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return pa.string()
    return _SCALARS[hint]
