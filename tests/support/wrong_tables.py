"""Tables that users bring, and every way in which one of their columns can be wrong."""

import gzip
import json
import math
import re
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
from polylect.quantization.calibration import _read as _read_calibration
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
            "judge": "j", "swapped": n == 1, "sample": 0, "log_odds": -0.5,
            "reason": "r"}  # fmt: skip


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


CONFUSION = "answers to confuse (confusion)"
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
    "calibration texts (quantize)": Reader(
        lambda path: _read_calibration(path, Ledger()), _calibration, _columns(_calibration)
    ),
    "arena-hard's games (winrate)": Reader(
        lambda path: read_arena_games(path, Ledger()), _games, _columns(_games)
    ),
    CONFUSION: Reader(read_completions, _measured, _columns(_measured), ("csv",)),
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
    # A Parquet column left out is left out of all rows, and true beside a number would become 1.
    for row in rows if fault in ("left out", "true") and kind != "jsonl" else rows[1:]:
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


TEXTS_OF_FILES = {
    "nothing (0 bytes)": b"",
    "no row": b"\n\n",
    "UTF-8 with a byte-order mark": "\ufeff{row1}\n{row2}\n",
    "line ends of Windows": "{row1}\r\n{row2}\r\n",
    "no line end after the last row": "{row1}\n{row2}",
    "empty lines between rows": "{row1}\n\n{row2}\n",
    "Latin-1": '{row1}\n{row2}\n{{"ü": 1}}\n',
    "UTF-16": "{row1}\n{row2}\n",
    "UTF-16 without a mark": "{row1}\n{row2}\n",
    "half a character as bytes": b'{"a": "\xed\xa0\xbd"}\n',
    "a line cut short": "{row1}\n{cut2}\n",
    "a comma before the brace": "{row1}\n{comma2}\n",
    "a list around the rows": "[{row1}, {row2}]\n",
    "two rows on a line": "{row1} {row2}\n",
    "a key twice": "{row1}\n{twice2}\n",
    "a number too large": '{row1}\n{{"x": 1e999}}\n',
    "NaN": '{row1}\n{{"x": NaN}}\n',
    "nested 100,000 deep": b"[" * 100_000,
    "gzip, called .jsonl.gz": "{row1}\n{row2}\n",
    "no gzip, called .jsonl.gz": "{row1}\n{row2}\n",
    "gzip cut short": "{row1}\n{row2}\n",
    "gzip, called .jsonl": "{row1}\n{row2}\n",
    "called .JSONL": "{row1}\n{row2}\n",
    "called .json": "{row1}\n{row2}\n",
    "called .csv": "{row1}\n{row2}\n",
}
"""A file of JSON lines by what is odd about it."""
_ENCODINGS = {"Latin-1": "latin-1", "UTF-16": "utf-16", "UTF-16 without a mark": "utf-16-le"}


def odd_file(folder: Path, reader: Reader, oddity: str) -> Path:
    """A file of JSON lines that is odd as a file; its rows are good."""
    first, second = (json.dumps(reader.row(n)) for n in (1, 2))
    text = TEXTS_OF_FILES[oddity]
    if isinstance(text, str):
        twice = second[:-1] + ", " + second[1:]
        text = text.format(
            row1=first, row2=second, cut2=second[:-3], comma2=second[:-1] + ",}", twice2=twice
        ).encode(_ENCODINGS.get(oddity, "utf-8"))
    if oddity.startswith("gzip"):
        text = gzip.compress(text)
        text = text[:-12] if "cut" in oddity else text
    name = re.search(r"called (\S+)", oddity)
    suffix = name[1] if name else ".jsonl.gz" if "gzip" in oddity else ".jsonl"
    path = folder / f"odd{suffix}"
    path.write_bytes(text)
    return path


def odd_parquet(folder: Path, reader: Reader, oddity: str) -> Path:
    """A Parquet file that is odd as a file."""
    path = folder / "odd.parquet"
    rows = [reader.row(1), reader.row(2)]
    write(path, rows)
    if oddity == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
    elif oddity == "nothing (0 bytes)":
        path.write_bytes(b"")
    elif oddity == "no row":
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    elif oddity == "JSON lines, called .parquet":
        path.write_text(json.dumps(rows[0]))
    elif oddity == "a column twice":
        table = pq.read_table(path)
        pq.write_table(table.append_column(table.schema[0], table.column(0)), path)
    elif oddity == "called .jsonl":
        path = path.rename(folder / "parquet.jsonl")
    elif oddity == "called .PARQUET":
        path = path.rename(folder / "odd2.PARQUET")
    return path


PARQUET_ODDITIES = (
    "nothing (0 bytes)", "no row", "cut short", "a column twice", "JSON lines, called .parquet",
    "called .jsonl", "called .PARQUET",
)  # fmt: skip
CSV_ODDITIES: Mapping[str, bytes] = {
    "nothing (0 bytes)": b"",
    "a header only": b"completion,source,language\n",
    "UTF-8 with a byte-order mark": b"\xef\xbb\xbfcompletion,source,language\na,s,en\n",
    "line ends of Windows": b"completion,source,language\r\na,s,en\r\n",
    "Latin-1": b"completion,source,language\n\xfc,s,en\n",
    "UTF-16": "completion,source,language\na,s,en\n".encode("utf-16"),
    "a column twice": b"completion,source,language,source\na,s,en,t\n",
    "a row too short": b"completion,source,language\na,s\n",
    "a row too long": b"completion,source,language\na,s,en,x\n",
    "a comma after every row": b"completion,source,language,\na,s,en,\n",
    "a quote not closed": b'completion,source,language\n"a,s,en\n',
    "semicolons": b"completion;source;language\na;s;en\n",
    "a row of nothing": b"completion,source,language\na,s,en\n,,\n",
    "headers in capitals": b"Completion,Source,Language\na,s,en\n",
    "a line end in a text": b'completion,source,language\n"a\nb",s,en\n',
    "empty lines at the end": b"completion,source,language\na,s,en\n\n\n",
}
"""A CSV file by what is odd about it."""


def faults_of(reader: Reader, folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    """What happens, by column, fault and kind of file."""
    return {
        column: {
            fault: {
                kind: outcome(reader, wrong_file(folder, reader, kind, column, fault))
                for kind in reader.kinds
            }
            for fault in VALUES
        }
        for column in reader.columns
    }


_AS_MISSING = ("left out", "null", "empty", "blank")
_KIND_NAMES = {"jsonl": "JSON lines", "parquet": "Parquet", "csv": "CSV"}


def column_lines(reader: Reader, folder: Path) -> list[str]:
    """The lines of a table of the guide: what every column of a reader may be."""
    lines = ["| column | read | may be absent |", "|---|---|---|"]
    for column, faults in faults_of(reader, folder).items():
        cells: dict[str, list[str]] = {"read": [], "absent": []}
        for fault, by_kind in faults.items():
            read = [kind for kind, line in by_kind.items() if line == "read"]
            cell = "absent" if fault in _AS_MISSING else "read"
            only = "" if len(read) == len(by_kind) else f" ({_KIND_NAMES[read[0]]})" if read else ""
            if read:
                cells[cell].append(fault + only)
        words = [", ".join(cells[name]) or "–" for name in cells]
        lines.append(f"| `{column}` | {' | '.join(words)} |")
    return lines


def oddity_lines(folder: Path) -> list[str]:
    """The lines of the guide's table of files that are odd as a whole."""
    pairs = READERS["preferences (train preference)"]
    lines = ["| file | oddity | what happens |", "|---|---|---|"]
    for name in TEXTS_OF_FILES:
        lines.append(_oddity("JSON lines", name, pairs, odd_file(folder, pairs, name)))
    for name in PARQUET_ODDITIES:
        lines.append(_oddity("Parquet", name, pairs, odd_parquet(folder, pairs, name)))
    for name in CSV_ODDITIES:
        lines.append(_oddity("CSV", name, READERS[CONFUSION], odd_csv(folder, name)))
    return lines


def odd_csv(folder: Path, oddity: str) -> Path:
    """A CSV file that is odd as a file."""
    path = folder / "odd.csv"
    path.write_bytes(CSV_ODDITIES[oddity])
    return path


def _oddity(kind: str, name: str, reader: Reader, path: Path) -> str:
    line = outcome(reader, path).replace(f"{path.parent}/", "").split(" — ")[0]
    return f"| {kind} | {name} | {line if line == 'read' else f'refused: `{line}`'} |"


HEAD = """# Tables of your own

Votes, boards, judgments, prompts, conversations, preferences, items and texts come as JSON lines
(`.jsonl`, `.ndjson`, also gzipped, but for texts to train on) or Parquet; answers for `polylect
confusion` also as CSV. A file is read whole or refused whole: the first row that does not fit is
named by file and line (Parquet: by row), column, value and what is wanted.

This page is made by `python tests/support/wrong_tables.py` from what the readers do, and a test
holds it to that.

## Files

"""
COLUMNS_HEAD = """
## Columns

Each column was made wrong in every way below, once as JSON lines and once as Parquet. *word* is
`"zzz!"`, *whole* is 3, *negative* is -1, *fraction* is 2.5, *true*, *list* and *object* are JSON's,
*half character* is half of a surrogate pair (in Parquet: bytes that are no UTF-8). What
is not named is refused. A kind of file in brackets: only there (a Parquet column is of one kind, a
column of JSON lines must be). Python and pandas write NaN where a number is missing; write null.
"""


def guide(folder: Path) -> str:
    """The text of ``docs/guides/tables.md``."""
    lines = [HEAD + "\n".join(oddity_lines(folder)), COLUMNS_HEAD]
    for name, reader in READERS.items():
        lines += [f"### {name[0].upper()}{name[1:]}", "", *column_lines(reader, folder), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        page = Path(__file__).parents[2] / "docs/guides/tables.md"
        page.write_text(guide(Path(scratch)), encoding="utf-8")
