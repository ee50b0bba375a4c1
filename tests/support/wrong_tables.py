"""Tables that users bring, and every way in which one of their columns can be wrong."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polylect.auditing import Registry, read_boards
from polylect.base import InputError, Ledger
from polylect.evals import read_completions
from polylect.evals.tasks.from_file import read_task_file
from polylect.judging import read_answers, read_arena_games, read_grades, read_judgments
from polylect.mixtures import FolderSource
from polylect.quantization.calibration import _read as read_calibration
from polylect.ranking import read_votes
from polylect.rows import ScoreTable, read_conversations, read_preferences, read_prompts

Row = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """What reads a table.

    Attributes:
        read: reads a file.
        row: a good row, number 1 or 2.
        columns: those that are made wrong.
        kinds: of files that it reads.
    """

    read: Callable[[Path], object]
    row: Callable[[int], Row]
    columns: Sequence[str]
    kinds: Sequence[str] = ("jsonl", "parquet")


def _votes(path: Path) -> object:
    return read_votes(
        path, codes=("language", "voter"), numbers=("time",), features=("length",)
    ).counts()


def _documents(path: Path) -> object:
    return list(FolderSource(path).documents({"en", "de"}, Ledger()))


def _vote(n: int) -> Row:
    return {"model_a": "a", "model_b": "b", "verdict": "AB"[n - 1], "count": n, "language": "en",
            "voter": f"v{n}", "time": 1.7e9 + n, "length_a": 10.0, "length_b": 20.0}  # fmt: skip


def _board(n: int) -> Row:
    return {"date": f"2025-04-0{n}", "model": "a", "rating": 1000.5, "battles": 10 * n,
            "lower": 990.5, "provider": "p", "license": "MIT"}  # fmt: skip


def _entry(n: int) -> Row:
    return {"model": f"m{n}", "provider": "p", "license": "MIT", "private": n == 1,
            "tested_from": "2025-04-01", "score": 1000.5}  # fmt: skip


def _judgment(n: int) -> Row:
    return {"id": str(n), "language": "en", "model_a": "a", "model_b": "b", "verdict": "A",
            "judge": "j", "swapped": n == 1, "sample": 0, "log_odds": -0.5, "reason": "r"}  # fmt: skip


def _grade(n: int) -> Row:
    return {"id": str(n), "language": "en", "model": "a", "judge": "j", "score": 4.5, "sample": 0}


def _answer(n: int) -> Row:
    return {"id": str(n), "language": "en", "sample": 0, "model": "a", "answer": "yes",
            "num_tokens": 3, "stopped": "end", "log_likelihood": -1.5, "prompt": "p"}  # fmt: skip


def _prompt(n: int) -> Row:
    return {"id": str(n), "language": "en", "prompt": "why?", "system": "be kind", "category": "c"}


def _turns(*texts: str) -> list[Row]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def _chat(n: int) -> Row:
    return {"messages": _turns("hi", f"hello {n}"), "language": "en", "source": "s"}


def _completion(n: int) -> Row:
    return {"prompt": "hi", "completion": f"hello {n}", "language": "en"}


def _pair(n: int) -> Row:
    return {"prompt": "hi", "chosen": f"yes {n}", "rejected": "no", "language": "en", "id": str(n),
            "chosen_score": 2.5, "rejected_score": 1.5, "margin": 0.5}  # fmt: skip


def _item(n: int) -> Row:
    return {"id": str(n), "language": "en", "context": "which?", "choices": ["one", "two"],
            "answer": 1, "cluster": "c", "split": "test"}  # fmt: skip


def _document(n: int) -> Row:
    return {"text": f"some text {n}", "language": "en", "id": str(n), "parallel": "p",
            "license": "MIT"}  # fmt: skip


def _calibration(n: int) -> Row:
    return {"text": f"some text {n}", "language": "en", "source": "s"}


def _games(n: int) -> Row:
    return {"uid": str(n), "model": "a", "games": [{"score": "A>B"}, {"score": "B>A"}]}


def _measured(n: int) -> Row:
    return {"completion": f"some text {n}", "source": "s", "language": "en", "model": "m"}


def _score(n: int) -> Row:
    return {"checkpoint": "c", "task": "t@1", "language": "en", "group": "", "item": str(n),
            "cluster": str(n), "metric": "acc", "value": 0.5, "weight": 1.0, "chance": 0.25,
            "settings": "", "truncated": False, "invalid": False}  # fmt: skip


def _columns(row: Callable[[int], Row]) -> list[str]:
    return list(row(1))


READERS = {
    "votes (rank, audit, simulate)": Reader(_votes, _vote, _columns(_vote)[:-1]),
    "dated boards (audit)": Reader(read_boards, _board, _columns(_board)),
    "registry (audit, simulate)": Reader(Registry.read, _entry, _columns(_entry)),
    "judgments (winrate, agreement, judge)": Reader(read_judgments, _judgment, _columns(_judgment)),
    "grades (agreement, grade)": Reader(read_grades, _grade, _columns(_grade)),
    "answers (judge, grade, confusion)": Reader(read_answers, _answer, _columns(_answer)),
    "prompts (generate)": Reader(
        lambda path: read_prompts(path, require_ids=True), _prompt, _columns(_prompt)
    ),
    "conversations (train sft)": Reader(read_conversations, _chat, _columns(_chat)),
    "completions (train sft)": Reader(read_conversations, _completion, _columns(_completion)),
    "preferences (train preference)": Reader(read_preferences, _pair, _columns(_pair)),
    "items of a task (eval)": Reader(
        lambda path: read_task_file(str(path)), _item, _columns(_item)
    ),
    "documents (lifecycle, search)": Reader(_documents, _document, _columns(_document)),
    "calibration texts (quantize)": Reader(read_calibration, _calibration, _columns(_calibration)),
    "arena-hard's games (winrate)": Reader(
        lambda path: read_arena_games(path, Ledger()), _games, _columns(_games)
    ),
    "answers to confuse (confusion)": Reader(
        read_completions, _measured, _columns(_measured), ("csv",)
    ),
    "score table (compare)": Reader(ScoreTable.read, _score, _columns(_score), ("parquet",)),
}

MISSING = object()
VALUES: Mapping[str, object] = {
    "left out": MISSING,
    "null": None,
    "empty": "",
    "blank": "  ",
    "word": "zzz!",
    "whole": 3,
    "negative": -1,
    "fraction": 2.5,
    "true": True,
    "NaN": math.nan,
    "infinity": math.inf,
    "list": [1],
    "object": {"a": 1},
    "half character": "a\ud83d",
}
"""What stands in a column by the name of the fault."""


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows by the path's suffix, as other programs would."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        names = list(rows[0])
        text = "".join(",".join(_cell(row.get(name)) for name in names) + "\n" for row in rows)
        path.write_text(",".join(names) + "\n" + text, encoding="utf-8", errors="surrogatepass")
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        pq.write_table(pa.table({name: _column(name, rows) for name in names}), path)


def _cell(value: object) -> str:
    return "" if value is None else f'"{value}"'


def _column(name: str, rows: Sequence[Row]) -> pa.Array:
    values = [row.get(name) for row in rows]
    if any(isinstance(value, str) and "\ud83d" in value for value in values):
        # Bytes that are no UTF-8, which Parquet does not check.
        raw = pa.array([str(value).encode("utf-8", "surrogatepass") for value in values])
        return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    return pa.array(values)


def wrong_file(folder: Path, reader: Reader, kind: str, column: str, fault: str) -> Path:
    """A file of two rows, the second with a fault in a column.

    Where a Parquet column can hold only one type, both rows have the fault.
    """
    rows = [reader.row(1), reader.row(2)]
    value = VALUES[fault]
    for row in rows if fault == "left out" and kind != "jsonl" else rows[1:]:
        if value is MISSING:
            del row[column]
        else:
            row[column] = value
    path = folder / f"table.{kind}"
    try:
        write(path, rows)
    except (pa.ArrowException, TypeError, AttributeError):
        rows[0][column] = value
        write(path, rows)
    return path


def outcome(reader: Reader, path: Path) -> str:
    """``read``, or the error's line; anything else than one line about the file is an error."""
    try:
        reader.read(path)
    except InputError as error:
        return str(error)
    return "read"
