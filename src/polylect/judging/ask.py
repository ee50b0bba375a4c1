"""One judge before many questions: a checkpoint or a server, by its words or its probabilities."""

from collections.abc import Sequence

from polylect.base import Ledger
from polylect.engine import GenerateConfig, Sampling, answer_prompts
from polylect.judging.choice_logprobs import ALTERNATIVES, Judge, JudgeAnswer, ask_choices
from polylect.judging.config import JudgingConfig
from polylect.rows import Prompt

SILENT = "invalid: the judge said nothing"


def judge_generation(
    config: JudgingConfig, judge: str, max_new_tokens: int, *, by_logprob: bool
) -> GenerateConfig:
    """How a judge is run.

    Args:
        config: of the judging.
        judge: its name.
        max_new_tokens: longest answer.
        by_logprob: the verdict is read off log-probabilities.
    """
    return GenerateConfig(
        name=judge,
        sampling=Sampling(
            max_new_tokens=max_new_tokens, temperature=config.temperature, seed=config.seed
        ),
        template=config.template,
        alternatives=ALTERNATIVES if by_logprob else 0,
        engine=config.engine,
    )


def ask_judge(
    judge: Judge,
    questions: Sequence[Prompt],
    ledger: Ledger,
    *,
    lead: str = "",
    choices: Sequence[str] = (),
) -> list[JudgeAnswer]:
    """The judge's answers, in the order of the questions.

    Args:
        judge: who is asked.
        questions: may be empty.
        ledger: counts what the engine counts, under the judge's name.
        lead: beginning of the answer where ``choices`` follow.
        choices: characters of which one is the verdict, read off its log-probability; empty reads
            what the judge writes.

    Raises:
        InputError: the judge cannot be used, or a question does not fit it.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    if not questions:
        return []
    counts = Ledger()
    if choices:
        answers = ask_choices(judge, questions, lead, choices, counts)
    else:
        texts = answer_prompts(
            questions, judge.model, judge.generation, judge.work, judge.report, counts
        )
        answers = [
            JudgeAnswer(text=row.answer, cut=row.stopped == "length", why=row.why) for row in texts
        ]
    for event, _, num in counts.rows():
        ledger.count(event, num, f"judge {judge.name}")
    return answers
