"""``polylect agreement``: how far judges and people agree, by language."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import tyro

from polylect.cli.options import parse
from polylect.cli.results import print_lines


@dataclass(frozen=True, kw_only=True)
class Options:
    """Agreement of all judges and people in FILEs, in all languages and in each.

    Each FILE is a folder of 'polylect judge' or of 'polylect grade', or rows of judgments or of
    grades by models or people (JSON lines or Parquet). Cohen's kappa for every two (squared weights
    for grades), Krippendorff's ordinal alpha for every two and for all.
    """

    files: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]")]
    ]
    """Files or folders of judgments, or of grades."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect agreement``."""
    options = parse(Options, arguments, "agreement")
    from polylect.base import InputError, Ledger, count_look_alikes
    from polylect.judging import (
        grade_agreement,
        grade_table,
        outcome_table,
        read_grades,
        read_judgments,
        verdict_agreement,
    )
    from polylect.report import agreement_lines

    kinds = [_is_grades(path) for path in options.files]
    if not kinds:
        raise InputError("agreement: nothing to compare", "polylect agreement FILE FILE ...")
    if any(kinds) and not all(kinds):
        raise InputError(
            f"{options.files[kinds.index(True)]} has grades, others have judgments",
            "compare grades and judgments separately",
        )
    if all(kinds):
        table = grade_table([row for path in options.files for row in read_grades(path)])
        measure = grade_agreement
    else:
        first = read_judgments(options.files[0])
        models = (first[0].model_a, first[0].model_b)
        rows = [row for path in options.files for row in read_judgments(path, models)]
        table = outcome_table(rows)
        measure = verdict_agreement
    if table["judge"].n_unique() < 2:
        raise InputError(f"there is one judge, {table['judge'][0]}", "add a file of another judge")
    ledger = Ledger()
    count_look_alikes(ledger, "judges", table["judge"].to_list())
    lines = [*agreement_lines(measure(table)), *agreement_lines(measure(table, "language"))]
    print_lines([*lines, *ledger.lines()])
    return 0


def _is_grades(path: Path) -> bool:
    """Whether a folder or file has grades: its first row has a score."""
    from polylect.judging import GRADES
    from polylect.rows import read_dicts

    if path.is_dir():
        return (path / GRADES).is_file()
    return any("score" in row for _, row in islice(read_dicts(path), 1))
