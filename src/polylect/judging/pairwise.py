"""Pairs before a judge: every pair in both orders; equal answers are a tie without asking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from polylect.base import Ledger, digest_of
from polylect.engine import GenerateConfig
from polylect.judging.ask import SILENT, ask_judge, judge_generation
from polylect.judging.choice_logprobs import Judge, JudgeAnswer, format_logprobs, likeliest
from polylect.judging.config import JudgeConfig
from polylect.judging.pair_outcomes import NOT_ASKED
from polylect.judging.pairs import AnswerPair
from polylect.judging.position_calibration import log_odds
from polylect.judging.protocols import Preset
from polylect.judging.readings import LETTERS
from polylect.rows import Judgment, Prompt, Verdict

NO_LABEL = "invalid: verdict without a label"
CUT = "invalid: the judge's answer was cut before its verdict"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a judge's answer means.

    Attributes:
        verdict: on the answers as they were shown, A first.
        strong: the judge found the difference significant.
        reason: its words, or the log-probabilities of the letters in nats; or why there are none.
        problem: the ledger's event if the verdict is INVALID, else empty.
    """

    verdict: Verdict
    strong: bool
    reason: str
    problem: str = ""


def pairwise_questions(pairs: Sequence[AnswerPair], preset: Preset) -> list[Prompt]:
    """Two questions for every pair whose answers differ: ``a`` shown first, then ``b``."""
    return [
        _question(pair, preset, swapped)
        for pair in pairs
        if not pair.equal
        for swapped in (False, True)
    ]


def _question(pair: AnswerPair, preset: Preset, swapped: bool) -> Prompt:
    first, second = (pair.b, pair.a) if swapped else (pair.a, pair.b)
    system, user = preset.messages(pair.a.language, pair.a.question, first.answer, second.answer)
    order = "ba" if swapped else "ab"
    return Prompt(
        id=f"{pair.a.id}#{pair.a.sample}#{order}",
        language=pair.a.language,
        prompt=user,
        system=system,
    )


def pairwise_generation(config: JudgeConfig, preset: Preset, judge: str) -> GenerateConfig:
    """How a judge of pairs is run."""
    return judge_generation(
        config,
        judge,
        config.max_new_tokens or preset.max_new_tokens,
        by_logprob=bool(preset.lead),
    )


def judge_pairs(
    pairs: Sequence[AnswerPair],
    names: tuple[str, str],
    preset: Preset,
    judge: Judge,
    ledger: Ledger,
) -> list[Judgment]:
    """The judgments of one judge, two for every pair, in the order of the pairs.

    Args:
        pairs: at least one.
        names: of the models behind ``a`` and ``b``; they differ.
        preset: the protocol.
        judge: who is asked.
        ledger: counts equal answers, invalid verdicts, and what the engine counts.

    Raises:
        InputError: the judge cannot be used.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    questions = pairwise_questions(pairs, preset)
    choices = tuple(LETTERS) if preset.lead else ()
    answers = ask_judge(judge, questions, ledger, lead=preset.lead, choices=choices)
    answered = iter(zip(questions, answers, strict=True))
    judgments = []
    for pair in pairs:
        for swapped in (False, True):
            if pair.equal:
                ledger.count(NOT_ASKED, int(not swapped), pair.a.language)
                tie = pair.judgment(names, judge.name, Verdict.TIE, swapped=swapped)
                judgments.append(replace(tie, reason=NOT_ASKED))
                continue
            question, answer = next(answered)
            reading = read_answer(answer, preset)
            if reading.problem:
                ledger.count(reading.problem, 1, pair.a.language)
            verdict = reading.verdict.swapped() if swapped else reading.verdict
            judgments.append(
                replace(
                    pair.judgment(names, judge.name, verdict, swapped=swapped),
                    reason=reading.reason,
                    prompt_digest=digest_of([question.system, question.prompt]),
                    strong=reading.strong,
                    abstained=reading.problem == SILENT,
                    log_odds=log_odds(answer.choices, swapped=swapped),
                )
            )
    return judgments


def read_answer(answer: JudgeAnswer, preset: Preset) -> Reading:
    """The likeliest letter, a tie if several are; the words if no log-probability is known.

    INVALID if neither can be read.
    """
    letters = likeliest(answer.choices)
    if letters:
        verdict = LETTERS[letters[0]] if len(letters) == 1 else Verdict.TIE
        return Reading(verdict, False, format_logprobs(answer.choices))
    verdict, strong = preset.read(answer.text)
    problem = ""
    if verdict is Verdict.INVALID:
        problem = SILENT if not answer.text.strip() else CUT if answer.cut else NO_LABEL
    return Reading(verdict, strong, answer.text or answer.why, problem)
