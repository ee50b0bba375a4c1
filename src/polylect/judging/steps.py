"""Pairwise judging and grading as steps of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from polylect.base import read_json, write_json
from polylect.engine import GenerateConfig, Server, model_place
from polylect.judging.choice_logprobs import Judge
from polylect.judging.config import GradeConfig, JudgeConfig, JudgingConfig
from polylect.judging.files import GRADES, JUDGMENTS, ModelAnswers
from polylect.judging.pair_outcomes import outcome_table
from polylect.judging.pairs import select_answers, select_pairs
from polylect.judging.pairwise import judge_pairs, pairwise_generation
from polylect.judging.protocols import find_preset
from polylect.judging.rubric import grade_answers, rubric_generation
from polylect.judging.rubrics import RUBRICS, read_rubric
from polylect.judging.score_tables import grade_scores, win_rate_scores
from polylect.rows import Grade, Judgment, write_rows
from polylect.runs import VOLATILE, FileInput, StepContext, step

SCORES, JUDGING, GRADING = "scores.parquet", "judging.json", "grading.json"


@step(version=2)
def judge(
    config: JudgeConfig, inputs: Mapping[str, FileInput | Server], context: StepContext
) -> None:
    """Writes ``judgments.parquet``, ``scores.parquet`` and ``judging.json``.

    Inputs: ``a`` and ``b`` (answers of ``generate``), and ``judge-0``, ``judge-1`` … (folders or
    servers).
    """
    preset = find_preset(config.preset.partition("@")[0])
    sides, pairs = select_pairs(config, _file(inputs, "a"), _file(inputs, "b"), context.ledger)
    names = model_names(sides)
    judgments: list[Judgment] = []
    for reviewer in _judges(
        config, inputs, context, lambda name: pairwise_generation(config, preset, name)
    ):
        judgments += judge_pairs(pairs, names, preset, reviewer, context.ledger)
    write_rows(context.out / JUDGMENTS, Judgment, judgments)
    table = win_rate_scores(outcome_table(judgments), names, preset.label)
    table.write(context.out / SCORES)
    write_json(
        context.out / JUDGING,
        {"models": names, "preset": preset.label, "source": preset.source, "weight": preset.weight,
         "self_judged": _self_judged(config, inputs, names, sides)},
    )  # fmt: skip


@step(version=2)
def grade(
    config: GradeConfig, inputs: Mapping[str, FileInput | Server], context: StepContext
) -> None:
    """Writes ``grades.parquet``, ``scores.parquet`` and ``grading.json``.

    Inputs: ``answers-0`` … (answers of ``generate``), ``judge-0`` … (folders or servers), and
    ``rubric`` if it is a file.
    """
    if "rubric" in inputs:
        rubric = read_rubric(_file(inputs, "rubric"))
    else:
        rubric = RUBRICS[config.rubric.partition("@")[0]]
    paths = [_file(inputs, f"answers-{number}") for number in range(len(config.models))]
    sides, answers = select_answers(config, paths, context.ledger)
    grades: list[Grade] = []
    for reviewer in _judges(
        config, inputs, context, lambda name: rubric_generation(config, rubric, name)
    ):
        grades += grade_answers(answers, rubric, reviewer, config.verdict, context.ledger)
    write_rows(context.out / GRADES, Grade, grades)
    grade_scores(grades, rubric).write(context.out / SCORES)
    names = [side.model for side in sides]
    write_json(
        context.out / GRADING,
        {"models": list(config.models), "rubric": rubric.label, "source": rubric.source,
         "scale": [rubric.lowest, rubric.highest], "verdict": config.verdict,
         "self_judged": _self_judged(config, inputs, names, sides)},
    )  # fmt: skip


def _file(inputs: Mapping[str, FileInput | Server], name: str) -> Path:
    place = model_place(inputs[name])
    assert not isinstance(place, Server), name
    return place


def model_names(sides: tuple[ModelAnswers, ModelAnswers]) -> tuple[str, str]:
    """Names of the two models in the rows; equal names get a mark."""
    a, b = sides[0].model, sides[1].model
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def _judges(
    config: JudgingConfig,
    inputs: Mapping[str, FileInput | Server],
    context: StepContext,
    generation: Callable[[str], GenerateConfig],
) -> Iterator[Judge]:
    """The judges in turn; what each of them spent is written when all are done."""
    spent: dict[str, object] = {}
    for number, name in enumerate(config.judges):
        work = context.work / f"judge-{number}"
        work.mkdir(exist_ok=True)
        place = model_place(inputs[f"judge-{number}"])
        yield Judge(name, place, generation(name), work, context.report)
        if (work / VOLATILE).is_file():
            spent[name] = read_json(work / VOLATILE)
    write_json(context.work / VOLATILE, {"judges": spent})


def _self_judged(
    config: JudgingConfig,
    inputs: Mapping[str, FileInput | Server],
    names: Sequence[str],
    sides: Sequence[ModelAnswers],
) -> list[dict[str, str]]:
    """Judges that judged answers of their own, by name or by digest of the model."""
    return [
        {"judge": judge, "model": name}
        for number, judge in enumerate(config.judges)
        for name, side in zip(names, sides, strict=True)
        if judge in {side.model, name}
        or (side.digest and side.digest == inputs[f"judge-{number}"].digest)
    ]
