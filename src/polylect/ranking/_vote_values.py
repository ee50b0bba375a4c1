"""Columns of votes as a file of JSON lines has them, and what is wrong with a value."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polylect.base import InputError, Ledger
from polylect.rows import IGNORED_COLUMN

_OF_VOTES = frozenset({
    # a Battle and a Judgment
    "id", "model_a", "model_b", "count", "language", "category", "voter",
    "prompt", "time", "judge", "swapped", "reason", "prompt_digest", "sample", "strong",
    "abstained", "origin", "log_odds",
    # LMArena's
    "question_id", "conversation_a", "conversation_b", "turn", "anony", "tstamp", "timestamp",
    "conv_metadata", "is_code", "is_refusal", "dedup_tag", "category_tag", "criteria_tag",
    "evaluation_session_id", "evaluation_order", "full_conversation",
})  # fmt: skip
"""What a file of votes may hold without a use in a ranking."""


def from_dicts(
    rows: list[dict[str, Any]], names: Sequence[str], places: list[str]
) -> pa.RecordBatch:
    """The named columns of rows of JSON lines.

    Raises:
        InputError: a value is of another kind than those before it; names its place.
    """
    columns: dict[str, pa.Array] = {}
    for name in names:
        # As in rows.Battle: a row without a count is one vote; one with an empty count is wrong.
        values = [row.get(name, 1 if name == "count" else None) for row in rows]
        try:
            columns[name] = pa.array(values)
            if any(type(value) is bool for value in values) and columns[name].type != pa.bool_():
                raise OverflowError  # true beside numbers would be 1
        except (pa.ArrowException, OverflowError):
            raise _odd_value(name, values, places) from None
    return pa.RecordBatch.from_pydict(columns)


def _odd_value(name: str, values: Sequence[Any], places: Sequence[str]) -> InputError:
    """The error for the first value that makes no column with those before it."""
    first = next(value for value in values if value is not None)
    kinds = (int, float) if name == "count" else (type(first),)
    for place, value in zip(places, values, strict=True):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return InputError(f"{place}: {name!r} is {str(value)[:40]}", "give a smaller number")
        if value is not None and type(value) not in kinds:
            hint = f"in the rows before it is {short(first)}: use one kind"
            hint = "give a number of votes" if name == "count" else hint
            return InputError(f"{place}: {name!r} is {short(value)}", hint)
    return InputError(f"{places[0]}: {name!r} is {short(first)}", "use one kind of value")


def short(value: object) -> str:
    """A value as errors show it."""
    return text if len(text := repr(value)) <= 40 else text[:37] + "..."


def problem(value: object) -> str:
    """What is wrong with a value that is no name."""
    what = short(value) if str(value).strip() else "empty"
    return f"is {'missing' if value is None else what}"


def count_ignored(
    rows: "Sequence[dict[str, Any]] | pq.ParquetFile", read: Sequence[str], ledger: Ledger
) -> None:
    """Count the rows with columns that no ranking reads, such as ``Count`` or ``weight``.

    A column of each side (``length_a``) is a feature that may be asked for.

    Args:
        rows: of JSON lines, or a file.
        read: names of the columns that are read.
        ledger: gets a count for each column.
    """
    if isinstance(rows, pq.ParquetFile):
        counts = dict.fromkeys(rows.schema_arrow.names, rows.metadata.num_rows)
    else:
        counts = {}
        for row in rows:
            for name, value in row.items():
                counts[name] = counts.get(name, 0) + (value is not None)
    of_sides = {
        name for name in counts if name[:-2] + "_a" in counts and name[:-2] + "_b" in counts
    }
    for name in counts.keys() - _OF_VOTES - of_sides - set(read):
        ledger.count(f"{IGNORED_COLUMN} {name!r}", counts[name])
