"""``grade``: answers, graded one at a time by a rubric."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.judges import (
    AskingOptions,
    judging_engine,
    open_judges,
    plan_lines,
    settings_for,
    step_inputs,
)
from polylect.api.models import EngineOptions, ServerOptions
from polylect.api.results import Plan, Result, run_call
from polylect.api.verbs import verb
from polylect.base import Count, InputError

if TYPE_CHECKING:
    import polars

    from polylect.report import Graded


@dataclass(frozen=True, kw_only=True)
class GradeOptions:
    """Grade every answer alone by a rubric; INVALID grades are counted and never averaged.

    A server's key is read from the environment variable POLYLECT_API_KEY. Writes grades.parquet,
    scores.parquet and index.html. If the command is interrupted, the same command continues it.

    Examples:
        polylect grade answers/base --judges judge-model
        polylect grade answers/base answers/mine --judges http://127.0.0.1:8000/v1#NAME
        polylect grade answers/mine --judges DIR OTHER_DIR --rubric mt-bench --json
    """

    answers: Positional[Annotated[tuple[Path, ...], Mark(metavar="DIR [DIR ...]")]]
    """Answers of one model each: a folder of 'polylect generate', or such rows."""
    judges: Annotated[tuple[str, ...], Mark(metavar="MODEL ...", keeps_commas=True)]
    """Judges: checkpoints' folders, or http://HOST:PORT/v1#MODEL."""
    rubric: str = "aya"
    """Rubric: aya (1 to 5), mt-bench (1 to 10), or a JSON file with name, criteria and levels."""
    languages: tuple[str, ...] = ()
    """Language tags. Default: all of the answers."""
    limit: Count | None = None
    """Only the first answers of each language. Default: all."""
    human: Path | None = None
    """Judgments by people, as rows of grades; their agreement with the judges is reported."""
    asking: Group[AskingOptions] = field(default_factory=AskingOptions)
    engine: Group[EngineOptions] = field(default_factory=judging_engine)
    server: Group[ServerOptions] = field(default_factory=ServerOptions)
    output: Group[Output] = field(default_factory=Output)


class Grades(Result):
    """Grades of all judges, with intervals over prompts."""

    @cached_property
    def graded(self) -> "Graded":
        """The grades, those of people among them, and their scale."""
        from polylect.report import read_graded

        return read_graded(self.path)

    @property
    def overall(self) -> "polars.DataFrame":
        """Mean grades over all languages, a row per model and judge."""
        return self._means("model", "judge")

    @property
    def agreement(self) -> "polars.DataFrame":
        """How far every two judges agree beyond chance, people among them."""
        from polylect.judging import grade_agreement

        return grade_agreement(self.graded.grades)

    @property
    def grades(self) -> "polars.DataFrame":
        """A row per answer and judge."""
        import polars

        from polylect.judging import GRADES

        return polars.read_parquet(self.path / GRADES)

    def table(self) -> "polars.DataFrame":
        """Mean grades with 95 % intervals over prompts, a row per model, judge and language."""
        return self._means("model", "judge", "language")

    def _means(self, *columns: str) -> "polars.DataFrame":
        from polylect.judging import mean_grade_table

        return mean_grade_table(self.graded.grades, *columns, scale=self.graded.scale)

    def lines(self) -> list[str]:
        """A line per judge and model, their agreement, and what was counted."""
        from polylect.judging import GRADES
        from polylect.report import grading_summary

        summary = grading_summary(self.graded).splitlines()
        return [*summary, *self.ledger.lines(), str(self.path / GRADES), str(self.page)]


@verb("grade", GradeOptions)
def grade(options: GradeOptions) -> Grades | Plan:
    """Grade every answer alone by a rubric.

    Returns ``Grades``: ``.table()`` has a row per model, judge and language.

        answers = pl.generate("mine", "prompts.jsonl")
        pl.grade(answers, judges=["judge-model"], rubric="aya").table()
    """
    from polylect.base import Ledger
    from polylect.judging import (
        GradeConfig,
        find_rubric,
        read_answers,
        read_grades,
        rubric_generation,
        rubric_questions,
        select_answers,
    )
    from polylect.judging import grade as grade_step
    from polylect.report import write_grades_page
    from polylect.runs import Call, Files

    if not options.answers:
        raise InputError("grade: nothing to grade", "polylect grade DIR --judges MODEL")
    judges = open_judges("grade", options)
    rubric = find_rubric(options.rubric)
    if options.asking.verdict == "logprob":
        rubric.digits  # noqa: B018 - refuses a scale that cannot be read so
    people = read_grades(options.human) if options.human else []
    config = GradeConfig(
        rubric=rubric.label,
        models=tuple(read_answers(path).model for path in options.answers),
        verdict=options.asking.verdict,
        **settings_for(options, judges),
    )
    ledger = Ledger()
    _, answers = select_answers(config, options.answers, ledger)
    inputs = step_inputs(
        {f"answers-{number}": path for number, path in enumerate(options.answers)}, judges
    )
    if options.rubric.endswith(".json"):
        inputs["rubric"] = Files(Path(options.rubric))

    def finish(folder: Path) -> Grades:
        write_grades_page(folder, people)
        return Grades(folder)

    def plan(out: Path) -> list[str]:
        questions = rubric_questions(answers, rubric, config.verdict)
        return [
            f"{len(answers):,} answers of {', '.join(config.models)}, {rubric.label}",
            *ledger.lines(),
            *plan_lines(
                questions, judges, lambda name: rubric_generation(config, rubric, name), out
            ),
        ]

    call = Call(grade_step, "grade", config, inputs)
    return run_call(call, options.output, "grade", finish, plan)
