"""Grading as a step of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polylect.base import InputError, read_json, write_json
from polylect.base import language as language_of
from polylect.engine import Server
from polylect.judging.grade_config import GradeConfig
from polylect.judging.pairs import read_answers
from polylect.judging.rubric import grade_answers
from polylect.judging.rubrics import RUBRICS, Rubric, read_rubric
from polylect.rows import Generated, Grade, ScoreTable, read_rows, write_rows
from polylect.runs import VOLATILE, StepContext, step

GRADES, SCORES, GRADING = "grades.parquet", "scores.parquet", "grading.json"


@step(version=1)
def grade(config: GradeConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes ``grades.parquet``, ``scores.parquet`` and ``grading.json``.

    Inputs: ``answers-0`` … (answers of ``generate``), ``judge-0`` … (folders or servers), and
    ``rubric`` where it is a file.
    """
    if "rubric" in inputs:
        rubric = read_rubric(inputs["rubric"].path)
    else:
        rubric = RUBRICS[config.rubric.partition("@")[0]]
    paths = [inputs[f"answers-{number}"].path for number in range(len(config.models))]
    answers, own = chosen_answers(config, paths)
    rows: list[Grade] = []
    spent: dict[str, Any] = {}
    flagged = []
    for number, name in enumerate(config.judges):
        model = inputs[f"judge-{number}"]
        work = context.work / f"judge-{number}"
        work.mkdir(exist_ok=True)
        place = model if isinstance(model, Server) else model.path
        rows += grade_answers(
            answers, rubric, name, place, config, work, context.report, context.ledger
        )
        if (work / VOLATILE).is_file():
            spent[name] = read_json(work / VOLATILE)
        for called, digest in own:
            if name == called or (digest and digest == model.digest):
                flagged.append({"judge": name, "model": called})
    write_json(context.work / VOLATILE, {"judges": spent})
    write_rows(context.out / GRADES, Grade, rows)
    score_table(rows, rubric).write(context.out / SCORES)
    write_json(
        context.out / GRADING,
        {"models": list(config.models), "rubric": rubric.label, "source": rubric.source,
         "scale": [rubric.lowest, rubric.highest], "verdict": config.verdict,
         "self_judged": flagged},
    )  # fmt: skip


def chosen_answers(
    config: GradeConfig, paths: Sequence[Path]
) -> tuple[list[Generated], list[tuple[str, str]]]:
    """The answers that are graded, and name and digest of each model.

    Raises:
        InputError: a folder cannot be read, two are of one model, or nothing is left.
    """
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit is {config.limit}", "give 1 or more")
    tags = [language_of(one, "--languages").tag for one in config.languages]
    found: list[Generated] = []
    names: list[tuple[str, str]] = []
    for path in paths:
        side = read_answers(path)
        if side.model in {name for name, _ in names}:
            raise InputError(f"two of the folders are of {side.model!r}", "name each model once")
        names.append((side.model, side.digest))
        counts: dict[str, int] = {}
        for one in side.rows:
            if tags and one.language not in tags:
                continue
            counts[one.language] = counts.get(one.language, 0) + 1
            if config.limit is None or counts[one.language] <= config.limit:
                found.append(one)
    if not found:
        raise InputError(f"no answer in {' '.join(tags)}", "check --languages")
    return found, names


def score_table(rows: Sequence[Grade], rubric: Rubric) -> ScoreTable:
    """A row per grade, for ``compare``: an invalid one has the lowest score and says so."""
    return ScoreTable.from_rows(
        [
            {
                "checkpoint": one.model,
                "task": f"graded_by_{rubric.label}",
                "language": one.language,
                "group": one.category,
                "item": f"{one.id}#{one.sample}" if one.sample else one.id,
                "cluster": one.id,
                "metric": f"grade[{one.judge}]",
                "value": float(rubric.lowest) if one.score is None else one.score,
                "settings": f"rubric={rubric.label}",
                "invalid": one.score is None,
            }
            for one in rows
        ]
    )


def read_grades(path: Path) -> list[Grade]:
    """The grades in a folder that ``polylect grade`` wrote, or in a file of such rows.

    Raises:
        InputError: nothing is there, or a row does not fit.
    """
    file = path / GRADES if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {GRADES}", f"polylect grade DIR --out {path}")
    rows = list(read_rows(file, Grade))
    if not rows:
        raise InputError(f"{file}: no grade", "check the file")
    return rows
