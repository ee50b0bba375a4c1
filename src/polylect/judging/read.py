"""Judgments in files: our own, and those of people."""

from pathlib import Path

from polylect.base import InputError
from polylect.judging.verdict_outcomes import turned
from polylect.rows import Judgment, read_rows

JUDGMENTS = "judgments.parquet"


def read_judgments(path: Path, models: tuple[str, str] | None = None) -> list[Judgment]:
    """The judgments in a folder that ``polylect judge`` wrote, or in a file of such rows.

    Args:
        path: a folder, JSON lines or Parquet.
        models: turn every row to these two, in this order; None leaves them.

    Raises:
        InputError: nothing is there, a row does not fit, or it is of other models.
    """
    file = path / JUDGMENTS if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {JUDGMENTS}", f"polylect judge DIR_A DIR_B --out {path}")
    rows = list(read_rows(file, Judgment))
    if not rows:
        raise InputError(f"{file}: no judgment", "check the file")
    if models is None:
        return rows
    try:
        return [turned(one, models) for one in rows]
    except InputError as error:
        raise InputError(f"{file}: {error.message}", error.hint) from None
