"""A verdict read off probabilities: how likely is each letter where the judge's verdict begins?

A judge that is too small to follow a protocol still prefers one letter over another. A checkpoint
is asked by ``Engine.score`` after the beginning of its answer was written for it; a server by the
alternatives that it lists for the tokens that it wrote. Nothing is corrected for what a letter is
worth without a question: a judge that likes A is seen in its flips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, import_heavy
from polylect.engine import GenerateConfig, Server, TokenRequest
from polylect.engine.answering import JOURNAL, style_for
from polylect.engine.journal import Journal
from polylect.evals.judging.presets import LETTERS, Preset
from polylect.rows import Prompt, Verdict
from polylect.runs import Reporter
from polylect.text import Tokenizer

READ_AS_TEXT = "fell back: no log-probability of a letter, the verdict is read from the text"
CUT = "cut: question longer than the judge"


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge said, and what it means.

    Attributes:
        verdict: on the answers as they were shown.
        reason: log-probabilities of the letters in nats, or the judge's words.
        abstained: it said nothing.
        cut: its answer was cut off.
        strong: it found the difference significant.
    """

    verdict: Verdict
    reason: str
    abstained: bool = False
    cut: bool = False
    strong: bool = False


def verdict_of(letters: Mapping[str, float]) -> Verdict:
    """The verdict of the likeliest letter; a tie where two are equally likely, INVALID for none.

    Args:
        letters: log-probabilities; a letter that is not there is less likely than those that are.
    """
    known = {one: value for one, value in letters.items() if not math.isnan(value)}
    if not known:
        return Verdict.INVALID
    best = max(known.values())
    first, *others = (one for one, value in known.items() if value == best)
    return Verdict.TIE if others else LETTERS[first]


def told(letters: Mapping[str, float]) -> str:
    """The log-probabilities as a reason is kept, e.g. ``A -0.1054 B -2.3026``."""
    return " ".join(f"{one} {value:.4f}" for one, value in letters.items())


def ask_letters(
    asked: Sequence[Prompt],
    model: Path | Server,
    preset: Preset,
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Said]:
    """The verdict of every question.

    Args:
        asked: questions of a preset with a lead.
        model: the judge.
        preset: the protocol.
        config: how it is asked.
        work: a folder that keeps what was answered.
        report: told the answers.
        ledger: counts cut questions, and verdicts that had to be read from the text.

    Raises:
        InputError: the judge cannot be used, or a question does not fit it.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    if isinstance(model, Server):
        return _of_server(asked, model, preset, config, work, report, ledger)
    return _of_checkpoint(asked, model, preset, config, work, report, ledger)


def _of_checkpoint(
    asked: Sequence[Prompt],
    folder: Path,
    preset: Preset,
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Said]:
    from polylect.checkpoints import Checkpoint

    engine = import_heavy("polylect.engine.local").Engine.open(
        Checkpoint.open(folder), config.engine, work / "passes", ledger
    )
    style = style_for(folder, engine.tokenizer, config.template, ledger)
    lead, letters = letter_tokens(engine.tokenizer, preset.lead)
    longest = max(map(len, letters))
    requests = []
    for one in asked:
        ids = np.concatenate([style.prompt(one.messages()), lead])
        room = engine.max_tokens - longest + 1
        cut = len(ids) > room
        if cut and config.engine.over_long == "refuse":
            raise InputError(
                f"question {one.id!r} ({one.language}) has {len(ids)} tokens, the judge takes"
                f" {room}",
                "--over-long cut, or another judge",
            )
        ledger.count(CUT, int(cut), one.language)
        context = ids[-room:].astype(np.int32)
        requests += [TokenRequest(context, own, cut) for own in letters]
    scores = engine.answer(engine.prepare_tokens(requests), report).log_likelihood
    found = []
    for row in scores.reshape(len(asked), len(letters)).tolist():
        own = dict(zip(LETTERS, row, strict=True))
        found.append(Said(verdict_of(own), told(own)))
    return found


def letter_tokens(tokenizer: Tokenizer, lead: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tokens of the beginning of an answer, and those of each letter after it, int32.

    Where a token spans the border the letter is encoded alone: the same for all of them.
    """
    before = tokenizer.encode([lead])[0]
    whole = tokenizer.encode([f"{lead} {one}" for one in LETTERS])
    if all(np.array_equal(one[: len(before)], before) for one in whole):
        return before, [one[len(before) :] for one in whole]
    return before, tokenizer.encode(list(LETTERS))


def _of_server(
    asked: Sequence[Prompt],
    server: Server,
    preset: Preset,
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Said]:
    from dataclasses import replace

    from polylect.engine.remote import ask_server

    # A chat cannot be begun for a server; text that it continues can.
    shown = asked
    if config.template == "none":
        shown = [replace(one, prompt=f"{one.prompt}\n\n{preset.lead}") for one in asked]
    with Journal(work / JOURNAL) as journal:
        ask_server(shown, server, config, journal, work, report)
        rows = [journal.rows[number, 0] for number in range(len(asked))]
    return [_said(row, preset, one.language, ledger) for row, one in zip(rows, asked, strict=True)]


def _said(row: Mapping[str, Any], preset: Preset, tag: str, ledger: Ledger) -> Said:
    own = letters_in(row.get("alternatives") or ())
    text = row["text"]
    if own:
        return Said(verdict_of(own), told(own))
    verdict, strong = preset.read(text)
    ledger.count(READ_AS_TEXT, 1, tag)
    return Said(verdict, text, not text.strip(), row["stopped"] == "length", strong)


def letters_in(alternatives: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Log-probabilities of the letters where an answer has its verdict; empty for none.

    That is the first token that is a letter, spaces and punctuation aside; where none is, the first
    token of all. Spellings of one letter (``A``, `` A``, ``(A``) add up.

    Args:
        alternatives: of each token of the answer, likeliest first, as the server listed them; the
            token itself is the first of them.
    """
    places = [one for one in alternatives if one and _letter(next(iter(one))) is not None]
    found: dict[str, float] = {}
    for token, value in (places or alternatives[:1] or [{}])[0].items():
        letter = _letter(token)
        if letter is not None:
            found[letter] = float(np.logaddexp(found.get(letter, -math.inf), value))
    return {one: found[one] for one in LETTERS if one in found}


def _letter(token: str) -> str | None:
    bare = token.strip(" \t\n()[]*\"'`.:▁Ġ")
    return bare if bare in LETTERS else None
