"""Single answers before a rubric judge, and their scores back."""

from collections.abc import Sequence

from polylect.base import Ledger, digest_of
from polylect.engine import GenerateConfig
from polylect.judging.ask import SILENT, ask_judge, judge_generation
from polylect.judging.choice_logprobs import Judge, JudgeAnswer, format_logprobs, likeliest
from polylect.judging.config import GradeConfig
from polylect.judging.rubrics import LEAD, Rubric
from polylect.rows import Generated, Grade, Prompt

NO_RATING = "invalid: no rating"
OFF_SCALE = "invalid: a rating off the scale"
CUT = "invalid: the judge's answer was cut before its rating"
_DIGIT_TOKENS = 4


def rubric_questions(answers: Sequence[Generated], rubric: Rubric, verdict: str) -> list[Prompt]:
    """One question per answer, in their order."""
    questions = []
    for answer in answers:
        system, user = rubric.messages(
            answer.language, answer.question, answer.answer, by_digit=verdict == "logprob"
        )
        id_ = f"{answer.model}/{answer.id}#{answer.sample}"
        questions.append(Prompt(id=id_, language=answer.language, prompt=user, system=system))
    return questions


def rubric_generation(config: GradeConfig, rubric: Rubric, judge: str) -> GenerateConfig:
    """How a rubric judge is run."""
    by_digit = config.verdict == "logprob"
    longest = _DIGIT_TOKENS if by_digit else config.max_new_tokens or rubric.max_new_tokens
    return judge_generation(config, judge, longest, by_logprob=by_digit)


def grade_answers(
    answers: Sequence[Generated], rubric: Rubric, judge: Judge, verdict: str, ledger: Ledger
) -> list[Grade]:
    """The grades of one judge, in the order of the answers.

    Args:
        answers: at least one.
        rubric: the protocol.
        judge: who is asked.
        verdict: ``text`` or ``logprob``.
        ledger: counts invalid grades, and what the engine counts.

    Raises:
        InputError: the judge cannot be used.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    questions = rubric_questions(answers, rubric, verdict)
    choices = rubric.digits if verdict == "logprob" else ()
    judged = ask_judge(judge, questions, ledger, lead=LEAD, choices=choices)
    grades = []
    for answer, question, reply in zip(answers, questions, judged, strict=True):
        score, reason, problem = _read(reply, rubric, by_digit=verdict == "logprob")
        if problem:
            ledger.count(problem, 1, answer.language)
        grades.append(
            Grade(
                id=answer.id,
                language=answer.language,
                model=answer.model,
                judge=judge.name,
                score=score,
                sample=answer.sample,
                rubric=rubric.label,
                reason=reason,
                prompt_digest=digest_of([question.system, question.prompt]),
                category=answer.category,
                origin=answer.origin,
            )
        )
    return grades


def _read(reply: JudgeAnswer, rubric: Rubric, *, by_digit: bool) -> tuple[float | None, str, str]:
    """Score, reason, and the ledger's event if there is no score."""
    digits = likeliest(reply.choices)
    if digits:
        # Equally likely numbers: their mean.
        return sum(map(float, digits)) / len(digits), format_logprobs(reply.choices), ""
    score, off_scale = rubric.read(reply.text, by_digit=by_digit)
    problem = ""
    if score is None and off_scale:
        problem = OFF_SCALE
    elif score is None:
        problem = SILENT if not reply.text.strip() else CUT if reply.cut else NO_RATING
    return score, reply.text or reply.why, problem
