"""The row types, their Arrow schemas, Parquet and JSON lines in and out, and the score table."""

from polylect.rows.files import decode_row, read_dicts, read_rows, write_rows
from polylect.rows.generations import Generated, Grade, Prompt
from polylect.rows.schema import arrow_schema
from polylect.rows.scores import ScoreTable
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
