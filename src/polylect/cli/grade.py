"""``polylect grade``: one answer at a time before rubric judges."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from polylect.cli.fields import Switch
from polylect.cli.judges import judge_models
from polylect.cli.options import parse
from polylect.cli.results import file_in, finish, print_lines
from polylect.cli.values import threads_of, words_of


@dataclass(frozen=True, kw_only=True)
class Options:
    """Score every answer alone by a rubric; INVALID grades are counted and never averaged.

    Each DIR is a folder that 'polylect generate' wrote. A judge is a checkpoint's folder, or
    http://HOST:PORT/v1#MODEL of a server (key: POLYLECT_API_KEY); name --judge several times for
    several. Writes grades.parquet, scores.parquet and index.html. Killed anywhere, the same command
    goes on where it was.
    """

    answers: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR [DIR ...]")]
    ]
    """Answers of one model each."""
    judge: tyro.conf.UseAppendAction[tuple[str, ...]]
    """Who grades; may be named several times."""
    out: Path
    """Folder for grades.parquet, scores.parquet and index.html."""
    rubric: str = "aya"
    """aya (1 to 5), mt-bench (1 to 10), or a JSON file with name, criteria and levels."""
    verdict: Literal["text", "logprob"] = "text"
    """How a grade is read: as the judge writes it, or by how likely each number is as the first of
    its answer: for judges too small to follow a protocol."""
    languages: str = ""
    """Tags with commas between; all that there are."""
    limit: int | None = None
    """Only the first answers of each language."""
    human: Path | None = None
    """Grades by people, in the same rows: their agreement with the judges goes on the page."""
    max_new_tokens: int | None = None
    """Longest answer of a judge. Default: the rubric's."""
    temperature: float = 0.0
    """Of a judge."""
    seed: int = 0
    """Of a judge's draws."""
    template: str = "own"
    """How the question is written for a judge; as in 'polylect generate'."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of a local judge."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local judge runs."""
    threads: int | None = None
    """Of the processor. Default: OMP_NUM_THREADS, or all cores."""
    memory_mib: int = 1024
    """Bound on what a local judge holds besides weights."""
    over_long: Literal["refuse", "cut"] = "refuse"
    """A question that leaves a local judge no room: refuse it, or cut its left end and count it."""
    concurrency: int = 8
    """Most requests to a server at a time."""
    retries: int = 8
    """How often a request that failed is sent again."""
    timeout_seconds: float = 600.0
    """Longest wait for an answer of a server."""
    max_requests: int | None = None
    """Bound on requests to each server, failed ones included."""
    max_total_tokens: int | None = None
    """Bound on tokens of questions and answers at each server."""
    force: Switch = False
    """Replace what --out holds, once the new grades are complete."""
    dry_run: Switch = False
    """Read everything, show what would be asked; ask nothing and write nothing."""


def options_type() -> type:
    """The options of ``grade``."""
    return Options


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect grade``."""
    options: Any = parse(Options, arguments, "grade", Options.__doc__ or "")
    from polylect.base import InputError, read_json
    from polylect.judging import (
        ANSWERS,
        GRADES,
        GRADING,
        find_rubric,
        grade,
        grade_table,
        read_grades,
        select_answers,
    )
    from polylect.report import Graded, grading_summary, write_grading_page
    from polylect.runs import MANIFEST, Call, Files

    if not options.answers or not options.judge:
        raise InputError("grade: nothing to grade", "polylect grade DIR --judge MODEL --out DIR")
    judges = judge_models("grade", options)
    rubric = find_rubric(options.rubric)
    if options.verdict == "logprob":
        rubric.digits  # noqa: B018 - refuses a scale that cannot be read so
    people = read_grades(options.human) if options.human else []
    config = config_of(options, tuple(judges), rubric.label)
    _, chosen = select_answers(config, options.answers)
    if options.dry_run:
        sys.stdout.write(_plan(chosen, judges, config, rubric, options))
        return 0
    inputs: dict[str, Any] = {
        f"answers-{number}": Files(file_in(path, ANSWERS))
        for number, path in enumerate(options.answers)
    }
    inputs |= {f"judge-{number}": one for number, one in enumerate(judges.values())}
    if options.rubric.endswith(".json"):
        inputs["rubric"] = Files(Path(options.rubric))
    call = Call(grade, options.out.name, config, inputs)
    artifact = finish(call, options.out, force=options.force)
    about = read_json(artifact.path / GRADING)
    graded = Graded(
        grades=grade_table([*read_grades(artifact.path), *people]),
        scale=(rubric.lowest, rubric.highest),
        self_judged=about["self_judged"],
        settings={"rubric": about["rubric"], "source": about["source"],
                  **read_json(artifact.path / MANIFEST)["config"]},
        ledger=artifact.ledger,
    )  # fmt: skip
    page = artifact.path / "index.html"
    write_grading_page(page, graded)
    sys.stdout.write(grading_summary(graded))
    print_lines([*artifact.ledger.lines(), artifact.path / GRADES, page])
    return 0


def config_of(options: Any, judges: tuple[str, ...], rubric: str) -> Any:
    """The configuration that options stand for."""
    from polylect.engine import EngineConfig
    from polylect.judging import GradeConfig, read_answers

    return GradeConfig(
        rubric=rubric,
        judges=judges,
        models=tuple(read_answers(one).model for one in options.answers),
        verdict=options.verdict,
        languages=words_of(options.languages),
        limit=options.limit,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        seed=options.seed,
        template=options.template,
        engine=EngineConfig(
            memory_mib=options.memory_mib,
            threads=options.threads or threads_of(),
            dtype=options.dtype,
            device=options.device,
            over_long=options.over_long,
        ),
    )


def _plan(chosen: Any, judges: Any, config: Any, rubric: Any, options: Any) -> str:
    """What would be asked, and the first question as a judge would see it."""
    from polylect.base import Ledger
    from polylect.engine import forecast
    from polylect.judging import rubric_generation, rubric_questions
    from polylect.runs import Files

    asked = rubric_questions(chosen, rubric, config.verdict)
    lines = [f"{len(chosen):,} answers of {', '.join(config.models)}, {rubric.label}"]
    for name, model in judges.items():
        lines.append(f"judge {name}:")
        place = model.path if isinstance(model, Files) else model
        run = rubric_generation(config, rubric, name)
        lines += [f"  {one}" for one in forecast(asked, place, run, Ledger())]
    lines += ["the first question:", *f"{asked[0].system}\n\n{asked[0].prompt}".splitlines()]
    return "\n".join([*lines, f"would write into {options.out}"]) + "\n"
