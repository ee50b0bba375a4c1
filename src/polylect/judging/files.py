"""Answers, judgments and grades from folders and files, ours and those of people."""

from dataclasses import dataclass, replace
from pathlib import Path

from polylect.base import InputError, read_json
from polylect.judging.position_calibration import log_odds_in_text
from polylect.rows import Generated, Grade, Judgment, decode_row, read_dicts, read_rows

ANSWERS, JUDGMENTS, GRADES = "answers.parquet", "judgments.parquet", "grades.parquet"


@dataclass(frozen=True)
class ModelAnswers:
    """One model's answers.

    Attributes:
        model: its name.
        rows: the answers, in order.
        digest: of the model that gave them, from the folder's step record; empty without one.
    """

    model: str
    rows: tuple[Generated, ...]
    digest: str = ""


def read_answers(path: Path) -> ModelAnswers:
    """The answers in a folder of ``polylect generate``, or in a file of such rows.

    Raises:
        InputError: there are none, or those of several models.
    """
    file = _file_of(path, ANSWERS, "generate MODEL PROMPTS")
    rows = tuple(read_rows(file, Generated))
    names = sorted({row.model for row in rows})
    if len(names) != 1:
        raise InputError(
            f"{file}: answers of {len(names)} models ({', '.join(names[:4])})",
            "give the answers of one model",
        )
    record = file.with_name("step.json")
    inputs = read_json(record).get("inputs") if record.is_file() else None
    digest = str(inputs.get("model", "")) if isinstance(inputs, dict) else ""
    return ModelAnswers(names[0], rows, digest)


def read_judgments(path: Path, models: tuple[str, str] | None = None) -> list[Judgment]:
    """The judgments in a folder of ``polylect judge``, or in a file of such rows.

    Args:
        path: a folder, JSON lines or Parquet.
        models: bring every row to these two models, in this order; None leaves them as they are.

    Raises:
        InputError: there are none, a row is malformed, or it is of other models.
    """
    file = _file_of(path, JUDGMENTS, "judge DIR_A DIR_B --judges MODEL --preset PRESET")
    judgments = []
    for where, data in read_dicts(file):
        judgment = decode_row(Judgment, data, where)
        if "log_odds" not in data:
            # Files from before this column have the log-probabilities in their reason only.
            judgment = replace(judgment, log_odds=log_odds_in_text(judgment))
        judgments.append(judgment if models is None else _in_order(judgment, models, file))
    if not judgments:
        raise InputError(
            f"{file}: no judgment", "a row has id, language, model_a, model_b, verdict and judge"
        )
    return judgments


def read_grades(path: Path) -> list[Grade]:
    """The grades in a folder of ``polylect grade``, or in a file of such rows.

    Raises:
        InputError: there are none, or a row is malformed.
    """
    file = _file_of(path, GRADES, "grade DIR --judges MODEL")
    grades = list(read_rows(file, Grade))
    if not grades:
        raise InputError(f"{file}: no grade", "a row has id, language, model, judge and score")
    return grades


def _file_of(path: Path, name: str, command: str) -> Path:
    """The file of that name in a folder; a file is itself."""
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {name}", f"polylect {command} --out {path}")
    return file


def _in_order(judgment: Judgment, models: tuple[str, str], file: Path) -> Judgment:
    """The same judgment with the models in a given order."""
    if (judgment.model_a, judgment.model_b) == models:
        return judgment
    if (judgment.model_b, judgment.model_a) != models:
        raise InputError(
            f"{file}: a judgment of {judgment.model_a} and {judgment.model_b}, not of {models[0]}"
            f" and {models[1]}",
            "give judgments of the same two models",
        )
    return replace(
        judgment,
        model_a=models[0],
        model_b=models[1],
        verdict=judgment.verdict.swapped(),
        swapped=not judgment.swapped,
        log_odds=None if judgment.log_odds is None else -judgment.log_odds,
    )
