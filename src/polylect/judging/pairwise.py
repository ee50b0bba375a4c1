"""Pairs to judges and back: every pair in both orders, equal answers not asked at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import Ledger, digest_of
from polylect.engine import GenerateConfig, Sampling, Server, answer_prompts
from polylect.judging.choice_logprobs import (
    ALTERNATIVES,
    ChoiceLogprobs,
    ask_choices,
    likeliest,
    told,
)
from polylect.judging.config import JudgeConfig
from polylect.judging.pairs import Pair
from polylect.judging.protocols import LETTERS, Preset, Reading
from polylect.judging.verdict_outcomes import NOT_ASKED
from polylect.rows import Judgment, Prompt, Verdict
from polylect.runs import Reporter

INVALID = "invalid: verdict without a label"
ABSTAINED = "invalid: the judge said nothing"
CUT = "invalid: the judge's answer was cut before its verdict"


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge said, and what it means.

    Attributes:
        reading: the verdict on the answers as they were shown, and whether it is a strong one.
        reason: its words, or the log-probabilities of the letters in nats.
        abstained: it said nothing.
        cut: its answer was cut off.
    """

    reading: Reading
    reason: str
    abstained: bool = False
    cut: bool = False


def judging_prompts(pairs: Sequence[Pair], preset: Preset) -> list[Prompt]:
    """What a judge is asked: for every pair whose answers differ, ``a`` first, then ``b`` first."""
    found = []
    for one in pairs:
        if one.equal:
            continue
        for swapped in (False, True):
            shown = (one.b, one.a) if swapped else (one.a, one.b)
            system, user = preset.messages(
                one.a.language, one.a.question, shown[0].answer, shown[1].answer
            )
            order = "ba" if swapped else "ab"
            found.append(
                Prompt(
                    id=f"{one.a.id}#{one.a.sample}#{order}",
                    language=one.a.language,
                    prompt=user,
                    system=system,
                )
            )
    return found


def judging_generation(config: JudgeConfig, preset: Preset, judge: str) -> GenerateConfig:
    """How the judge is run."""
    return GenerateConfig(
        name=judge,
        sampling=Sampling(
            max_new_tokens=config.max_new_tokens or preset.max_new_tokens,
            temperature=config.temperature,
            seed=config.seed,
        ),
        template=config.template,
        alternatives=ALTERNATIVES if preset.lead else 0,
        engine=config.engine,
    )


def judge_pairs(
    pairs: Sequence[Pair],
    names: tuple[str, str],
    preset: Preset,
    judge: str,
    model: Path | Server,
    config: JudgeConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Judgment]:
    """The judgments of one judge, two for every pair, in the order of the pairs.

    Args:
        pairs: at least one.
        names: of the models behind ``a`` and ``b``; they differ.
        preset: the protocol.
        judge: what the rows call the judge.
        model: the judge.
        config: how it is asked.
        work: a folder that keeps its answers.
        report: told the answers.
        ledger: counts equal answers, invalid verdicts, and what the engine counts.

    Raises:
        InputError: the judge cannot be used.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    asked = judging_prompts(pairs, preset)
    said: dict[tuple[str, str], Said] = {}
    if asked:
        own = Ledger()
        run = judging_generation(config, preset, judge)
        if preset.lead:
            letters = ask_choices(asked, model, preset.lead, tuple(LETTERS), run, work, report, own)
            heard = [by_letter(one, preset) for one in letters]
        else:
            found = answer_prompts(asked, model, run, work, report, own)
            heard = [in_words(one.answer, one.stopped == "length", preset) for one in found]
        for event, _, num in own.rows():
            ledger.count(event, num, f"judge {judge}")
        said = {(one.id, one.language): two for one, two in zip(asked, heard, strict=True)}
    digests = {(one.id, one.language): digest_of([one.system, one.prompt]) for one in asked}
    rows = []
    for one in pairs:
        for swapped in (False, True):
            key = (f"{one.a.id}#{one.a.sample}#{'ba' if swapped else 'ab'}", one.a.language)
            rows.append(
                _judgment(one, names, judge, swapped, said.get(key), digests.get(key, ""), ledger)
            )
    return rows


def in_words(text: str, cut: bool, preset: Preset) -> Said:
    """What a judge's words mean under a protocol."""
    return Said(preset.read(text), text, not text.strip(), cut)


def by_letter(heard: ChoiceLogprobs, preset: Preset) -> Said:
    """The likeliest letter, a tie where several are; what it wrote where no probability is known.

    INVALID where neither can be read.
    """
    best = likeliest(heard.choices)
    if not best:
        return in_words(heard.text, heard.cut, preset)
    verdict = LETTERS[best[0]] if len(best) == 1 else Verdict.TIE
    return Said((verdict, False), told(heard.choices))


def _judgment(
    pair: Pair,
    names: tuple[str, str],
    judge: str,
    swapped: bool,
    said: Said | None,
    digest: str,
    ledger: Ledger,
) -> Judgment:
    tag = pair.a.language
    verdict, strong, abstained, reason = Verdict.TIE, False, False, NOT_ASKED
    if said is None:
        ledger.count(NOT_ASKED, int(not swapped), tag)
    else:
        (shown, strong), reason = said.reading, said.reason
        verdict = shown.swapped() if swapped else shown
        if verdict is Verdict.INVALID:
            abstained = said.abstained
            ledger.count(ABSTAINED if abstained else CUT if said.cut else INVALID, 1, tag)
    return Judgment(
        id=pair.a.id,
        language=tag,
        model_a=names[0],
        model_b=names[1],
        verdict=verdict,
        judge=judge,
        swapped=swapped,
        reason=reason,
        prompt_digest=digest,
        sample=pair.a.sample,
        strong=strong,
        abstained=abstained,
        category=pair.a.category,
        origin=pair.a.origin,
    )
