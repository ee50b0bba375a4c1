"""A verdict read off probabilities: how likely is each choice where the judge's verdict begins?

A judge that is too small to follow a protocol still prefers one letter over another. A checkpoint
is asked by ``Engine.score`` after the beginning of its answer was written for it; a server by the
alternatives that it lists for the tokens that it wrote. Nothing is corrected for what a letter is
worth without a question: a judge that likes A is seen in its flips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger, import_heavy
from polylect.engine import JOURNAL, GenerateConfig, Journal, Server, TokenRequest, style_for
from polylect.rows import Prompt
from polylect.runs import Reporter
from polylect.text import Tokenizer

READ_AS_TEXT = "fell back: no log-probability of a choice, the verdict is read from the text"
CUT = "cut: question longer than the judge"
ALTERNATIVES = 20
"""Most that OpenAI's protocol gives."""


@dataclass(frozen=True, slots=True)
class ChoiceLogprobs:
    """What a judge answered.

    Attributes:
        choices: log-probabilities in nats; one that is not there is less likely than those that
            are. Empty where none is known.
        text: what it wrote; empty where it was not asked to write.
        cut: its answer was cut off.
    """

    choices: Mapping[str, float]
    text: str = ""
    cut: bool = False


def likeliest(choices: Mapping[str, float]) -> list[str]:
    """The likeliest choice, or several that are equally likely; empty for none."""
    known = {one: value for one, value in choices.items() if not math.isnan(value)}
    return [one for one, value in known.items() if value == max(known.values())]


def told(choices: Mapping[str, float]) -> str:
    """The log-probabilities as a reason is kept, e.g. ``A -0.1054 B -2.3026``."""
    return " ".join(f"{one} {value:.4f}" for one, value in choices.items())


def ask_choices(
    asked: Sequence[Prompt],
    model: Path | Server,
    lead: str,
    choices: Sequence[str],
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[ChoiceLogprobs]:
    """What a judge answers to every question.

    Args:
        asked: questions.
        model: the judge.
        lead: how its answer begins.
        choices: single characters, one of which follows.
        config: how it is asked.
        work: a folder that keeps what was answered.
        report: told the answers.
        ledger: counts cut questions, and answers of a server without a log-probability.

    Raises:
        InputError: the judge cannot be used, or a question does not fit it.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    if isinstance(model, Server):
        return _of_server(asked, model, lead, choices, config, work, report, ledger)
    return _of_checkpoint(asked, model, lead, choices, config, work, report, ledger)


def _of_checkpoint(
    asked: Sequence[Prompt],
    folder: Path,
    lead: str,
    choices: Sequence[str],
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[ChoiceLogprobs]:
    from polylect.checkpoints import Checkpoint

    engine = import_heavy("polylect.engine.local").Engine.open(
        Checkpoint.open(folder), config.engine, work / "passes", ledger
    )
    style = style_for(folder, engine.tokenizer, config.template, ledger)
    before, tokens = choice_tokens(engine.tokenizer, lead, choices)
    room = engine.max_tokens - max(map(len, tokens)) + 1
    requests = []
    for one in asked:
        ids = np.concatenate([style.prompt(one.messages), before])
        cut = len(ids) > room
        if cut and config.engine.over_long == "refuse":
            raise InputError(
                f"question {one.id!r} ({one.language}) has {len(ids)} tokens, the judge takes"
                f" {room}",
                "--over-long cut, or another judge",
            )
        ledger.count(CUT, int(cut), one.language)
        context = ids[-room:].astype(np.int32)
        requests += [TokenRequest(context, own, cut) for own in tokens]
    scores = engine.answer(engine.prepare_tokens(requests), report).log_likelihood
    rows = scores.reshape(len(asked), len(tokens)).tolist()
    return [ChoiceLogprobs(dict(zip(choices, row, strict=True))) for row in rows]


def choice_tokens(
    tokenizer: Tokenizer, lead: str, choices: Sequence[str]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tokens of the beginning of an answer, and those of each choice after it, int32.

    Where a token spans the border the choice is encoded alone: the same for all of them.
    """
    before = tokenizer.encode([lead])[0]
    whole = tokenizer.encode([f"{lead} {one}" for one in choices])
    if all(np.array_equal(one[: len(before)], before) for one in whole):
        return before, [one[len(before) :] for one in whole]
    return before, tokenizer.encode(list(choices))


def _of_server(
    asked: Sequence[Prompt],
    server: Server,
    lead: str,
    choices: Sequence[str],
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[ChoiceLogprobs]:
    from polylect.engine import ask_server

    # A chat cannot be begun for a server; text that it continues can.
    shown = asked
    if config.template == "none":
        shown = [replace(one, prompt=f"{one.prompt}\n\n{lead}") for one in asked]
    with Journal(work / JOURNAL) as journal:
        ask_server(shown, server, config, journal, work, report)
        rows = [journal.rows[number, 0] for number in range(len(asked))]
    found = []
    for row, one in zip(rows, asked, strict=True):
        known = choices_in(row.get("alternatives") or (), choices)
        ledger.count(READ_AS_TEXT, int(not known), one.language)
        found.append(ChoiceLogprobs(known, row["text"], row["stopped"] == "length"))
    return found


def choices_in(
    alternatives: Sequence[Mapping[str, float]], choices: Sequence[str]
) -> dict[str, float]:
    """Log-probabilities of the choices where an answer has its verdict; empty for none.

    That is the first token that is a choice, spaces and punctuation aside; where none is, the first
    token of all. Spellings of one choice (``A``, `` A``, ``(A``) add up.

    Args:
        alternatives: of each token of the answer, likeliest first, as the server listed them; the
            token itself is the first of them.
        choices: what may be chosen.
    """
    places = [one for one in alternatives if one and _bare(next(iter(one))) in choices]
    found: dict[str, float] = {}
    for token, value in (places or alternatives[:1] or [{}])[0].items():
        bare = _bare(token)
        if bare in choices:
            found[bare] = float(np.logaddexp(found.get(bare, -math.inf), value))
    return {one: found[one] for one in choices if one in found}


def _bare(token: str) -> str:
    return token.strip(" \t\n()[]*\"'`.:▁Ġ")
