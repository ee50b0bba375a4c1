"""A verdict read off probabilities: how likely is each choice where the judge's verdict begins?

A judge that is too small to follow a protocol still prefers one letter over another. A checkpoint
scores each choice after the beginning of its answer was written for it (``Engine.answer``); a
server lists alternatives for the tokens that it wrote. The prior of a letter without a question is
not corrected for: a judge that likes A shows it in its flips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine import (
    JOURNAL,
    GenerateConfig,
    Journal,
    Server,
    TokenRequest,
    count_outcomes,
    count_rejected,
    prompt_tokens,
    style_for,
)
from polylect.rows import Prompt
from polylect.runs import Reporter
from polylect.text import Tokenizer, cut_at_borders

READ_AS_TEXT = "fell back: no log-probability of a choice, the verdict is read from the text"
CUT_QUESTION = "cut: question longer than the judge"
ALTERNATIVES = 20
"""Most alternatives per token that OpenAI's protocol allows."""


@dataclass(frozen=True)
class Judge:
    """A judge and how it is run.

    Attributes:
        name: in the rows.
        model: a checkpoint's folder, or a server.
        generation: how it is asked.
        work: a folder that keeps its answers.
        report: told the answers.
    """

    name: str
    model: Path | Server
    generation: GenerateConfig
    work: Path
    report: Reporter


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """What a judge answered.

    Attributes:
        choices: log-probabilities in nats; a choice that is missing is less likely than those
            present. Empty if none is known.
        text: what it wrote; empty if it was not asked to write.
        cut: its answer was cut off.
        why: the words of the server or the chat template, where there is no answer.
    """

    choices: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    cut: bool = False
    why: str = ""


def likeliest(choices: Mapping[str, float]) -> list[str]:
    """The likeliest choice, or several that are equally likely; empty if none is known.

    >>> likeliest({"A": -2.0, "B": -0.5}), likeliest({"A": -1.0, "B": -1.0}), likeliest({})
    (['B'], ['A', 'B'], [])
    """
    known = {choice: value for choice, value in choices.items() if not math.isnan(value)}
    return [choice for choice, value in known.items() if value == max(known.values())]


def format_logprobs(choices: Mapping[str, float]) -> str:
    """Log-probabilities as the reason of a verdict.

    >>> format_logprobs({"A": -0.10536, "B": -2.5})
    'A -0.1054 B -2.5000'
    """
    return " ".join(f"{choice} {value:.4f}" for choice, value in choices.items())


def ask_choices(
    judge: Judge, questions: Sequence[Prompt], lead: str, choices: Sequence[str], ledger: Ledger
) -> list[JudgeAnswer]:
    """Log-probabilities of the choices for every question.

    Args:
        judge: who is asked.
        questions: in a fixed order.
        lead: beginning of the answer.
        choices: single characters, one of which follows.
        ledger: counts cut questions, and answers of a server without a log-probability.

    Raises:
        InputError: the judge cannot be used, or a question does not fit it.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    if isinstance(judge.model, Server):
        return _ask_server(judge, judge.model, questions, lead, choices, ledger)
    return _score_choices(judge, judge.model, questions, lead, choices, ledger)


def _score_choices(
    judge: Judge,
    folder: Path,
    questions: Sequence[Prompt],
    lead: str,
    choices: Sequence[str],
    ledger: Ledger,
) -> list[JudgeAnswer]:
    """Log-probabilities under a checkpoint; none of a question that its template does not write."""
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine

    config = judge.generation
    engine = Engine.open(Checkpoint.open(folder), config.engine, judge.work / "passes", ledger)
    style = style_for(
        folder, engine.tokenizer, config.template, ledger, config.engine.special_tokens
    )
    lead_tokens, choice_ids = choice_tokens(engine.tokenizer, lead, choices)
    max_tokens = engine.max_tokens - max(map(len, choice_ids)) + 1
    requests = []
    prompts, refused = prompt_tokens(style, questions, ledger)
    for number, prompt in prompts.items():
        question = questions[number]
        ids = np.concatenate([prompt, lead_tokens])
        cut = len(ids) > max_tokens
        if cut and config.engine.over_long == "refuse":
            raise InputError(
                f"question {question.id!r} ({question.language}) has {len(ids)} tokens, the judge"
                f" takes {max_tokens}",
                "--over-long cut, or another judge",
            )
        ledger.count(CUT_QUESTION, int(cut), question.language)
        context = ids[-max_tokens:].astype(np.int32)
        requests += [TokenRequest(context, choice, cut) for choice in choice_ids]
    scores = engine.answer(engine.prepare_tokens(requests), judge.report).log_likelihood
    rows = dict(zip(prompts, scores.reshape(len(prompts), len(choices)).tolist(), strict=True))
    count_rejected(refused, questions, ledger)
    return [
        JudgeAnswer(why=refused[number])
        if number in refused
        else JudgeAnswer(dict(zip(choices, rows[number], strict=True)))
        for number in range(len(questions))
    ]


def choice_tokens(
    tokenizer: Tokenizer, lead: str, choices: Sequence[str]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tokens of the beginning of an answer, and those of each choice after it and a space, int32.

    If a token would span the border between the two, the choice is encoded apart.
    """
    cuts = cut_at_borders(tokenizer, [[lead, f" {choice}"] for choice in choices])
    return cuts[0].pieces[0], [cut.pieces[1] for cut in cuts]


def _ask_server(
    judge: Judge,
    server: Server,
    questions: Sequence[Prompt],
    lead: str,
    choices: Sequence[str],
    ledger: Ledger,
) -> list[JudgeAnswer]:
    from polylect.engine import ask_server

    # A server cannot be made to begin its answer in a chat, but it can continue a text.
    sent = questions
    if judge.generation.template == "none":
        sent = [replace(question, prompt=f"{question.prompt}\n\n{lead}") for question in questions]
    with Journal(judge.work / JOURNAL) as journal:
        ask_server(sent, server, judge.generation, journal, judge.work, judge.report)
        rows = [journal.rows[number, 0] for number in range(len(questions))]
        count_outcomes(journal, sent, server, ledger)
    answers = []
    for row, question in zip(rows, questions, strict=True):
        known = choices_in(row.get("alternatives") or (), choices)
        is_read_as_text = not known and bool(row["text"].strip())
        ledger.count(READ_AS_TEXT, int(is_read_as_text), question.language)
        answers.append(
            JudgeAnswer(known, row["text"], row["stopped"] == "length", row.get("why", ""))
        )
    return answers


def choices_in(
    alternatives: Sequence[Mapping[str, float]], choices: Sequence[str]
) -> dict[str, float]:
    """Log-probabilities of the choices where an answer has its verdict; empty if there are none.

    The verdict is the first token that is a choice, spaces and punctuation aside; if none is, the
    first token of all. Spellings of one choice (``A``, `` A``, ``(A``) add up.

    Args:
        alternatives: of each token of the answer, likeliest first, as the server listed them; the
            token itself is the first of them.
        choices: what may be chosen.

    >>> choices_in([{"Answer": -0.1, "A": -3.0}, {" B": -0.2, "A": -1.8}], "AB")
    {'A': -1.8, 'B': -0.2}
    """
    verdicts = [
        tokens for tokens in alternatives if tokens and _bare(next(iter(tokens))) in choices
    ]
    logprobs: dict[str, float] = {}
    for token, value in (verdicts or alternatives[:1] or [{}])[0].items():
        choice = _bare(token)
        if choice in choices:
            logprobs[choice] = float(np.logaddexp(logprobs.get(choice, -math.inf), value))
    return {choice: logprobs[choice] for choice in choices if choice in logprobs}


def _bare(token: str) -> str:
    return token.strip(" \t\n()[]*\"'`.:▁Ġ")
