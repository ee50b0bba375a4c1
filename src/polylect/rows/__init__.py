"""The row types, their Arrow schemas, Parquet and JSON lines in and out, and the score table.

pyarrow and polars (50 MB) are loaded when what needs them is first named.
"""

import importlib
from typing import TYPE_CHECKING, Any

from polylect.rows.files import decode_row, read_dicts, read_rows, write_rows
from polylect.rows.generations import Generated, Grade, Prompt
from polylect.rows.types import (
    Battle,
    Conversation,
    Document,
    Judgment,
    Preference,
    Split,
    Turn,
    Verdict,
)

if TYPE_CHECKING:
    from polylect.rows.schema import arrow_schema
    from polylect.rows.scores import ScoreTable

_HEAVY = {"arrow_schema": "schema", "ScoreTable": "scores"}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(importlib.import_module(f"polylect.rows.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Battle",
    "Conversation",
    "Document",
    "Generated",
    "Grade",
    "Judgment",
    "Preference",
    "Prompt",
    "ScoreTable",
    "Split",
    "Turn",
    "Verdict",
    "arrow_schema",
    "decode_row",
    "read_dicts",
    "read_rows",
    "write_rows",
]
