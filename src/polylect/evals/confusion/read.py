"""Answers to check: a folder that ``polylect generate`` wrote, or the benchmark's own files."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError
from polylect.base import language as language_of
from polylect.rows import Generated, read_rows

ANSWERS = "answers.parquet"
_COLUMNS = ("completion", "source", "language")


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer and the language that was asked for.

    Attributes:
        id: unique in its file together with source and language.
        model: whose it is.
        task: ``monolingual`` or ``crosslingual``; may be empty.
        source: of the prompt.
        language: tag.
        text: the answer.
        cluster: what is resampled together: the prompt, where it has several samples.
    """

    id: str
    model: str
    task: str
    source: str
    language: str
    text: str
    cluster: str


def read_completions(path: Path) -> list[Completion]:
    """The answers of a folder of ``polylect generate``, of its file, or of a CSV file.

    A CSV has the columns of the benchmark's outputs: completion, source and language, and may have
    model and task. In answers of ``polylect generate`` the prompt's category is ``TASK/SOURCE`` or
    ``SOURCE``.

    Raises:
        InputError: nothing to read there, a column is missing, or there are several models.
    """
    if path.suffix == ".csv":
        found = list(_of_csv(path))
    else:
        file = path / ANSWERS if path.is_dir() else path
        if not file.is_file():
            raise InputError(f"{path}: no {ANSWERS}", f"polylect generate MODEL --out {path}")
        found = [_of_row(one) for one in read_rows(file, Generated)]
    names = sorted({one.model for one in found})
    if len(names) != 1:
        raise InputError(
            f"{path}: answers of {len(names)} models ({', '.join(names[:4])})",
            "give the answers of one model",
        )
    return found


def _of_row(row: Generated) -> Completion:
    task, _, source = row.category.rpartition("/")
    return Completion(
        id=f"{row.id}#{row.sample}" if row.sample else row.id,
        model=row.model,
        task=task,
        source=source,
        language=row.language,
        text=row.answer,
        cluster=row.id,
    )


def _of_csv(path: Path) -> Iterator[Completion]:
    if not path.is_file():
        raise InputError(f"{path}: no such file", "check the path")
    csv.field_size_limit(sys.maxsize)
    counts: dict[tuple[str, str, str], int] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [one for one in _COLUMNS if one not in (rows.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: no column {missing[0]!r}",
                    f"the columns are {', '.join(rows.fieldnames or ['none'])}",
                )
            for row in rows:
                where = f"{path}:{rows.line_num}"
                if any(row[one] is None for one in _COLUMNS):
                    raise InputError(f"{where}: the row is cut off", "copy the file again")
                tag = language_of(row["language"], where).tag
                key = (row.get("task") or "", row["source"], tag)
                counts[key] = counts.get(key, 0) + 1
                # The benchmark joins answers to prompts by their order within these three.
                name = f"{key[0]}-{counts[key]}" if key[0] else str(counts[key])
                model = row.get("model") or path.stem
                yield Completion(name, model, *key, text=row["completion"], cluster=name)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start})", "convert it") from None
