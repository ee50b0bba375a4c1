"""Answers of a local checkpoint or a server to the prompts of a file; killed anywhere, resumed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import Ledger, import_heavy
from polylect.engine.config import GenerateConfig
from polylect.engine.journal import Journal
from polylect.engine.server import Server
from polylect.rows import Generated, Prompt
from polylect.runs import Reporter
from polylect.text import Continued, Style, Tokenizer, style_or_plain

if TYPE_CHECKING:
    from polylect.engine.generator import Answer

JOURNAL = "answers.jsonl"
LENGTH = "truncated: answer reached max_new_tokens"
EMPTY = "empty: answer without a character"
REFUSED = "refused: the server did not take the prompt"
FILTERED = "withheld: the server's filter"
_COUNTED = {"length": LENGTH, "refused": REFUSED, "filter": FILTERED}


def answer_prompts(
    prompts: Sequence[Prompt],
    model: Path | Server,
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Generated]:
    """The answers, prompt by prompt and sample by sample.

    A local model's answers are a function of weights, prompt and settings alone: a process that
    was killed and runs again with the same ``work`` gives the same. A server's need not be; those
    that it gave are kept and never asked for again.

    Args:
        prompts: all of them, in a fixed order.
        model: a checkpoint's folder, or a server.
        config: how they are asked.
        work: a folder in which finished answers are kept.
        report: told the finished answers.
        ledger: counts fallbacks, cut prompts, and truncated, empty and refused answers; the same
            whether it was killed or not.

    Raises:
        InputError: the model cannot be used, or a prompt does not fit it.
        PolylectError: a server fails for good, or the spending bound is reached.
    """
    with Journal(work / JOURNAL) as journal:
        if isinstance(model, Server):
            from polylect.engine.remote import ask_server

            ask_server(prompts, model, config, journal, work, report)
        else:
            _ask_checkpoint(prompts, model, config, journal, report, ledger)
        found = [
            _row(one, sample, config.name, journal.rows[number, sample])
            for number, one in enumerate(prompts)
            for sample in range(config.sampling.num_samples)
        ]
        for event, where, num in _fallbacks(journal, prompts):
            ledger.count(event, num, where)
    for one in found:
        ledger.count(EMPTY, int(not one.answer.strip()), one.language)
        if one.stopped in _COUNTED:
            ledger.count(_COUNTED[one.stopped], 1, one.language)
    return found


def style_for(
    folder: Path, tokenizer: Tokenizer, template: str, ledger: Ledger
) -> Style | Continued:
    """How prompts are written for a checkpoint; one without a template of its own gets plain turns.

    Raises:
        InputError: there is no such template.
    """
    if template == "none":
        return Continued(tokenizer)
    return style_or_plain(folder, tokenizer, template, ledger)


def _ask_checkpoint(
    prompts: Sequence[Prompt],
    folder: Path,
    config: GenerateConfig,
    journal: Journal,
    report: Reporter,
    ledger: Ledger,
) -> None:
    from polylect.checkpoints import Checkpoint

    engine = import_heavy("polylect.engine.local").Engine.open(
        Checkpoint.open(folder), config.engine, None, ledger
    )
    style = style_for(folder, engine.tokenizer, config.template, ledger)
    token_prompt = import_heavy("polylect.engine.generator").TokenPrompt
    # The random numbers follow the id: neither order nor neighbors move a sample.
    asked = engine.fit(
        [
            token_prompt(style.prompt(one.messages), f"{one.language}/{one.id}", one.language)
            for one in prompts
        ],
        config.sampling,
        ledger,
    )
    num_samples = config.sampling.num_samples
    missing = journal.missing(len(asked), num_samples)
    heard = Ledger()
    offset = (len(prompts) - len(missing)) * num_samples

    def keep(place: int, sample: int, answer: "Answer") -> None:
        journal.keep(missing[place], sample, answer, heard)

    engine.generate(
        [asked[number] for number in missing],
        config.sampling,
        _Offset(report, offset),
        heard,
        ends=style.ends(),
        on_answer=keep,
    )


class _Offset:
    """What is done now on top of what an earlier try did."""

    def __init__(self, report: Reporter, before: float) -> None:
        self._report, self._before = report, before

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Pass on both."""
        self._report.update(self._before + done, self._before + total, unit, note)


def _fallbacks(journal: Journal, prompts: Sequence[Prompt]) -> list[tuple[str, str, int]]:
    """What each answer fell back to, as it was noted beside it."""
    return [
        (event, prompts[number].language, 1)
        for (number, _), row in journal.rows.items()
        for event in row.get("fallbacks", ())
    ]


def _row(prompt: Prompt, sample: int, name: str, found: Any) -> Generated:
    return Generated(
        id=prompt.id,
        language=prompt.language,
        sample=sample,
        model=name,
        answer=found["text"],
        num_tokens=found["num_tokens"],
        stopped=found["stopped"],
        log_likelihood=found["log_likelihood"],
        prompt=prompt.prompt,
        system=prompt.system,
        category=prompt.category,
        origin=prompt.origin,
        turns=prompt.turns,
    )
