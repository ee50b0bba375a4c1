"""Answers to check: a folder that ``polylect generate`` wrote, or the benchmark's own files."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError
from polylect.base import language as language_of
from polylect.evals.sources import read_table
from polylect.rows import Generated, read_rows

ANSWERS = "answers.parquet"


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer and the language that was asked for.

    Attributes:
        id: unique in its file together with source and language.
        model: that gave the answer.
        task: ``monolingual`` or ``crosslingual``; may be empty.
        source: of the prompt.
        language: tag.
        text: the answer.
        cluster: the prompt; its samples are resampled together.
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
    if path.suffix.lower() == ".csv":
        completions = list(_from_csv(path))
    else:
        file = path / ANSWERS if path.is_dir() else path
        if not file.is_file():
            raise InputError(
                f"{path}: no {ANSWERS}", f"polylect generate MODEL PROMPTS --out {path}"
            )
        completions = [_from_row(row) for row in read_rows(file, Generated)]
    if not completions:
        raise InputError(f"{path}: no answer in it", "a row has completion, source and language")
    models = sorted({completion.model for completion in completions})
    if len(models) != 1:
        raise InputError(
            f"{path}: answers of {len(models)} models ({', '.join(models[:4])})",
            "give the answers of one model",
        )
    return completions


def _from_row(row: Generated) -> Completion:
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


def _from_csv(path: Path) -> Iterator[Completion]:
    if not path.is_file():
        raise InputError(f"{path}: no such file", "check the path")
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in read_table(path):
        tag = language_of(row.text("language"), row.where).tag
        key = (row.data.get("task") or "", row.text("source", blank=True), tag)
        counts[key] += 1
        # The benchmark joins answers to prompts by their order within these three.
        id = f"{key[0]}-{counts[key]}" if key[0] else str(counts[key])
        model = row.text("model") if "model" in row.data else path.stem
        yield Completion(id, model, *key, text=row.text("completion", blank=True), cluster=id)
