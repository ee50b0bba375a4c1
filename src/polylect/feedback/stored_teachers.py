"""Answers that are stored already, joined to prompts by id and language."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger
from polylect.feedback.pool_config import TeacherConfig
from polylect.feedback.pool_files import PromptKey
from polylect.rows import Generated, PooledAnswer, Prompt, decode_row, read_dicts

OTHER_PROMPT = "not used: stored answer to a prompt that is not asked"
MORE_SAMPLES = "not used: stored answer beyond --answers"
MISSING = "missing: no stored answer"


def models_in(path: Path) -> list[str]:
    """The names of those whose answers a file holds, in order; empty where it names nobody."""
    return list(dict.fromkeys(name for _, row in read_dicts(path) if (name := _model_of(row))))


def stored_answers(
    path: Path,
    digest: str,
    teacher: TeacherConfig,
    prompts: Sequence[Prompt],
    num_samples: int,
    ledger: Ledger,
) -> list[PooledAnswer]:
    """A teacher's stored answers to prompts.

    Rows are those of ``Generated`` (a file of ``polylect generate``), of ``PooledAnswer``, or have
    id, language and answer alone. A file of several models gives the answers of the one that is
    called like the teacher.

    Args:
        path: JSON lines or Parquet.
        digest: of the file.
        teacher: whose answers they are.
        prompts: that it was asked.
        num_samples: answers to each that are wanted.
        ledger: counts what is missing or not used.

    Raises:
        InputError: a row does not fit, the model is not there, or a row answers another text.
    """
    asked: dict[PromptKey, Prompt] = {(prompt.language, prompt.id): prompt for prompt in prompts}
    rows: dict[tuple[PromptKey, int], PooledAnswer] = {}
    for place, row in _rows_of(path, teacher):
        key = (row.language, row.id)
        if key not in asked:
            ledger.count(OTHER_PROMPT, 1, row.language)
            continue
        if row.sample >= num_samples:
            ledger.count(MORE_SAMPLES, 1, row.language)
            continue
        if (key, row.sample) in rows:
            raise InputError(
                f"{place}: {teacher.name} answers prompt {row.id!r} ({row.language}) twice",
                "number its answers: 'sample' 0, 1 …, and ask for as many with --answers",
            )
        rows[key, row.sample] = _pooled(row, asked[key], teacher, digest, place)
    for (language, id_), prompt in asked.items():
        absent = sum(((language, id_), i) not in rows for i in range(num_samples))
        ledger.count(f"{MISSING} of {teacher.name}", absent, prompt.language)
    return list(rows.values())


def _pooled(
    row: PooledAnswer, prompt: Prompt, teacher: TeacherConfig, digest: str, place: str
) -> PooledAnswer:
    if row.prompt and row.messages != prompt.messages:
        raise InputError(
            f"{place}: answers {row.prompt[:40]!r}, prompt {row.id!r} ({row.language}) is"
            f" {prompt.prompt[:40]!r}",
            "give the prompts that were answered",
        )
    return replace(
        row, teacher=teacher.name, prompt=prompt.prompt, system=prompt.system,
        category=prompt.category, origin=prompt.origin, turns=prompt.turns,
        model_digest=row.model_digest or digest, license=teacher.license or row.license,
        terms=teacher.terms or row.terms,
        answer_origin=row.answer_origin or teacher.answer_origin,
    )  # fmt: skip


def _model_of(row: Mapping[str, Any]) -> str:
    return str(row.get("teacher") or row.get("model") or "")


def _rows_of(path: Path, teacher: TeacherConfig) -> Iterator[tuple[str, PooledAnswer]]:
    names = models_in(path)
    if len(names) > 1 and teacher.name not in names:
        raise InputError(
            f"{path}: answers of {len(names)} models, none is called {teacher.name!r}",
            f"--teacher NAME={path} with NAME one of {', '.join(names[:12])}",
        )
    for place, data in read_dicts(path):
        if len(names) > 1 and _model_of(data) != teacher.name:
            continue
        if "teacher" in data:
            yield place, decode_row(PooledAnswer, data, place)
        else:
            named = {"sample": 0, "model": teacher.name}
            row = named | {name: value for name, value in data.items() if value is not None}
            yield place, PooledAnswer.of(decode_row(Generated, row, place))
