"""Answers to rubric judges, one at a time, and their scores back."""

from collections.abc import Sequence
from pathlib import Path

from polylect.base import Ledger, digest_of
from polylect.engine import GenerateConfig, Sampling, Server, answer_prompts
from polylect.judging.choice_logprobs import ALTERNATIVES, ask_choices, likeliest, told
from polylect.judging.grade_config import GradeConfig
from polylect.judging.rubrics import LEAD, Rubric
from polylect.rows import Generated, Grade, Prompt
from polylect.runs import Reporter

INVALID = "invalid: no rating"
OFF_SCALE = "invalid: a rating off the scale"
CUT = "invalid: the judge's answer was cut before its rating"
SILENT = "invalid: the judge said nothing"


def grading_prompts(answers: Sequence[Generated], rubric: Rubric, verdict: str) -> list[Prompt]:
    """What a judge is asked, an answer each, in their order."""
    found = []
    for one in answers:
        system, user = rubric.messages(
            one.language, one.question, one.answer, by_digit=verdict == "logprob"
        )
        name = f"{one.model}/{one.id}#{one.sample}"
        found.append(Prompt(id=name, language=one.language, prompt=user, system=system))
    return found


def grading_generation(config: GradeConfig, rubric: Rubric, judge: str) -> GenerateConfig:
    """How the judge is run."""
    by_digit = config.verdict == "logprob"
    longest = 4 if by_digit else config.max_new_tokens or rubric.max_new_tokens
    return GenerateConfig(
        name=judge,
        sampling=Sampling(max_new_tokens=longest, temperature=config.temperature, seed=config.seed),
        template=config.template,
        alternatives=ALTERNATIVES if by_digit else 0,
        engine=config.engine,
    )


def grade_answers(
    answers: Sequence[Generated],
    rubric: Rubric,
    judge: str,
    model: Path | Server,
    config: GradeConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Grade]:
    """The grades of one judge, in the order of the answers.

    Args:
        answers: at least one.
        rubric: the protocol.
        judge: what the rows call the judge.
        model: the judge.
        config: how it is asked.
        work: a folder that keeps its answers.
        report: told the answers.
        ledger: counts invalid grades, and what the engine counts.

    Raises:
        InputError: the judge cannot be used.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    asked = grading_prompts(answers, rubric, config.verdict)
    run, own = grading_generation(config, rubric, judge), Ledger()
    found: list[tuple[float | None, str]] = []
    if config.verdict == "logprob":
        for heard, one in zip(
            ask_choices(asked, model, LEAD, rubric.digits, run, work, report, own),
            answers,
            strict=True,
        ):
            best = likeliest(heard.choices)
            if best:
                # Equally likely numbers: the middle, as a judge between two would say.
                score = sum(map(float, best)) / len(best)
                found.append((score, told(heard.choices)))
            else:
                own_words = rubric.read(heard.text, by_digit=True)
                found.append(_kept(own_words, heard.text, heard.cut, one.language, ledger))
    else:
        for said in answer_prompts(asked, model, run, work, report, own):
            cut = said.stopped == "length"
            read = rubric.read(said.answer)
            found.append(_kept(read, said.answer, cut, said.language, ledger))
    for event, _, num in own.rows():
        ledger.count(event, num, f"judge {judge}")
    return [
        Grade(
            id=one.id,
            language=one.language,
            model=one.model,
            judge=judge,
            score=score,
            sample=one.sample,
            rubric=rubric.label,
            reason=reason,
            prompt_digest=digest_of([question.system, question.prompt]),
            category=one.category,
            origin=one.origin,
        )
        for one, question, (score, reason) in zip(answers, asked, found, strict=True)
    ]


def _kept(
    read: tuple[float | None, bool], text: str, cut: bool, tag: str, ledger: Ledger
) -> tuple[float | None, str]:
    score, off = read
    if score is None:
        why = OFF_SCALE if off else SILENT if not text.strip() else CUT if cut else INVALID
        ledger.count(why, 1, tag)
    return score, text
