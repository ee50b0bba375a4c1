"""``polylect grade``: grade answers one at a time by a rubric."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.cli.judges import JudgingOptions, plan_lines, step_inputs
from polylect.cli.options import parse
from polylect.cli.results import finish, is_already_there, print_lines


@dataclass(frozen=True, kw_only=True)
class Options(JudgingOptions):
    """Grade every answer alone by a rubric; INVALID grades are counted and never averaged.

    Each DIR is a folder that 'polylect generate' wrote. A server's key is read from the environment
    variable POLYLECT_API_KEY. Writes grades.parquet, scores.parquet and index.html. If the command
    is interrupted, the same command continues it.
    """

    answers: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR [DIR ...]")]
    ]
    """Answers, one folder per model."""
    rubric: str = "aya"
    """Rubric: aya (1 to 5), mt-bench (1 to 10), or a JSON file with name, criteria and levels."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect grade``."""
    options = parse(Options, arguments, "grade")
    from polylect.base import InputError, Ledger, read_json
    from polylect.judging import (
        GRADES,
        GRADING,
        GradeConfig,
        find_rubric,
        grade,
        grade_table,
        read_answers,
        read_grades,
        rubric_generation,
        rubric_questions,
        select_answers,
    )
    from polylect.report import Graded, grading_summary, write_grading_page
    from polylect.runs import MANIFEST, Call, Files

    if not options.answers or not options.judge:
        raise InputError("grade: nothing to grade", "polylect grade DIR --judge MODEL --out DIR")
    judges = options.judges()
    options.refuse_without_effect("grade", judges)
    rubric = find_rubric(options.rubric)
    if options.verdict == "logprob":
        rubric.digits  # noqa: B018 - refuses a scale that cannot be read so
    human = read_grades(options.human) if options.human else []
    config = GradeConfig(
        rubric=rubric.label,
        models=tuple(read_answers(path).model for path in options.answers),
        verdict=options.verdict,
        **options.settings(judges),
    )
    planned = Ledger()
    _, answers = select_answers(config, options.answers, planned)
    inputs = step_inputs(
        {f"answers-{number}": path for number, path in enumerate(options.answers)}, judges
    )
    if options.rubric.endswith(".json"):
        inputs["rubric"] = Files(Path(options.rubric))
    call = Call(grade, options.out.name, config, inputs)
    if options.dry_run:
        if is_already_there(call, options.out, force=options.force):
            return 0
        questions = rubric_questions(answers, rubric, config.verdict)
        print_lines([
            f"{len(answers):,} answers of {', '.join(config.models)}, {rubric.label}",
            *planned.lines(),
            *plan_lines(
                questions, judges, lambda name: rubric_generation(config, rubric, name),
                options.out,
            ),
        ])  # fmt: skip
        return 0
    artifact = finish(call, options.out, force=options.force)
    grading = read_json(artifact.path / GRADING)
    graded = Graded(
        grades=grade_table([*read_grades(artifact.path), *human]),
        scale=(rubric.lowest, rubric.highest),
        self_judged=grading["self_judged"],
        settings={"rubric": grading["rubric"], "source": grading["source"],
                  **read_json(artifact.path / MANIFEST)["config"]},
        ledger=artifact.ledger,
    )  # fmt: skip
    page = artifact.path / "index.html"
    write_grading_page(page, graded)
    sys.stdout.write(grading_summary(graded))
    print_lines([*artifact.ledger.lines(), artifact.path / GRADES, page])
    return 0
