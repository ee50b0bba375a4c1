"""Answers of a local checkpoint or a server to prompts; a killed run resumes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine.config import GenerateConfig
from polylect.engine.journal import Journal
from polylect.engine.sampling import EMPTY, LENGTH
from polylect.engine.server import Server
from polylect.rows import Generated, Prompt
from polylect.runs import Reporter
from polylect.text import (
    Continued,
    SpecialTokens,
    Style,
    Tokenizer,
    count_special,
    spells_special,
    style_or_plain,
)

if TYPE_CHECKING:
    from polylect.engine.generator import Answer

JOURNAL = "answers.jsonl"
REFUSED = "refused: the server did not take the prompt"
FAILED = "failed: the request failed with all its retries"
FILTERED = "withheld: the server's filter"
_COUNTED = {"length": LENGTH, "refused": REFUSED, "failed": FAILED, "filter": FILTERED}


def answer_prompts(
    prompts: Sequence[Prompt],
    model: Path | Server,
    config: GenerateConfig,
    work: Path,
    report: Reporter,
    ledger: Ledger,
) -> list[Generated]:
    """The answers, ordered by prompt and sample.

    The answers of a local model depend on weights, prompt and settings alone: a killed process that
    runs again with the same ``work`` gives the same ones. A server's answers need not repeat; they
    are stored and not requested again.

    Args:
        prompts: all prompts, in a fixed order.
        model: a checkpoint's folder, or a server.
        config: template, sampling and engine.
        work: folder in which finished answers are stored.
        report: receives the number of finished answers.
        ledger: counts fallbacks, truncated prompts, and truncated, empty and refused answers; a
            resumed run counts the same as an uninterrupted one.

    Raises:
        InputError: the model cannot be used, or a prompt does not fit.
        PolylectError: a server keeps failing, or its limit is reached.
    """
    with Journal(work / JOURNAL) as journal:
        if isinstance(model, Server):
            from polylect.engine.remote import ask_server

            ask_server(prompts, model, config, journal, work, report)
        else:
            _ask_checkpoint(prompts, model, config, journal, report, ledger)
        answers = [
            _row(prompt, sample, config.name, journal.rows[number, sample])
            for number, prompt in enumerate(prompts)
            for sample in range(config.sampling.num_samples)
        ]
        for event, where, num in _fallbacks(journal, prompts):
            ledger.count(event, num, where)
    for answer in answers:
        ledger.count(EMPTY, int(not answer.answer.strip()), answer.language)
        if answer.stopped in _COUNTED:
            ledger.count(_COUNTED[answer.stopped], 1, answer.language)
    return answers


def style_for(
    folder: Path,
    tokenizer: Tokenizer,
    template: str,
    ledger: Ledger,
    special_tokens: SpecialTokens = "spell",
) -> Style | Continued:
    """The chat template of a checkpoint; plain turns where it has none.

    Raises:
        InputError: the template does not exist.
    """
    if template == "none":
        return Continued(tokenizer, special_tokens)
    return style_or_plain(folder, tokenizer, template, ledger, special_tokens=special_tokens)


def prompt_tokens(
    style: Style | Continued, prompts: Sequence[Prompt], ledger: Ledger
) -> list[np.ndarray]:
    """The tokens of every prompt, int32, in order.

    Args:
        style: renders messages.
        prompts: rows.
        ledger: counts prompts that spell special tokens.

    Raises:
        InputError: the template cannot write one; names the prompt.
    """
    encoded = []
    for prompt in prompts:
        try:
            encoded.append(style.prompt(prompt.messages))
        except InputError as error:
            name = prompt.place or f"prompt {prompt.id!r} ({prompt.language})"
            raise InputError(f"{name}: {error.message}", error.hint) from None
        has_special = spells_special(style.tokenizer, prompt.messages)
        count_special(int(has_special), style.special_tokens, ledger, prompt.language)
    return encoded


def _ask_checkpoint(
    prompts: Sequence[Prompt],
    folder: Path,
    config: GenerateConfig,
    journal: Journal,
    report: Reporter,
    ledger: Ledger,
) -> None:
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine, TokenPrompt

    engine = Engine.open(Checkpoint.open(folder), config.engine, None, ledger)
    style = style_for(
        folder, engine.tokenizer, config.template, ledger, config.engine.special_tokens
    )
    # Random numbers follow the id: a sample depends on neither order nor neighbors.
    requests = engine.fit(
        [
            TokenPrompt(ids, f"{prompt.language}/{prompt.id}", prompt.language)
            for prompt, ids in zip(prompts, prompt_tokens(style, prompts, ledger), strict=True)
        ],
        config.sampling,
        ledger,
    )
    num_samples = config.sampling.num_samples
    missing = journal.missing(len(requests), num_samples)
    counts = Ledger()
    offset = (len(prompts) - len(missing)) * num_samples

    def keep(index: int, sample: int, answer: "Answer") -> None:
        journal.keep(missing[index], sample, answer, counts)

    engine.generate(
        [requests[number] for number in missing],
        config.sampling,
        _Offset(report, offset),
        counts,
        ends=style.ends(),
        on_answer=keep,
    )


class _Offset:
    """Progress of this process, on top of what an earlier one did."""

    def __init__(self, report: Reporter, before: float) -> None:
        self._report, self._before = report, before

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Report the sum."""
        self._report.update(self._before + done, self._before + total, unit, note)

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Hand on the metrics of a step."""
        self._report.metrics(step, row)


def _fallbacks(journal: Journal, prompts: Sequence[Prompt]) -> list[tuple[str, str, int]]:
    """The fallbacks that were stored with each answer."""
    return [
        (event, prompts[number].language, 1)
        for (number, _), row in journal.rows.items()
        for event in row.get("fallbacks", ())
    ]


def _row(prompt: Prompt, sample: int, name: str, entry: Any) -> Generated:
    return Generated(
        id=prompt.id,
        language=prompt.language,
        sample=sample,
        model=name,
        answer=entry["text"],
        num_tokens=entry["num_tokens"],
        stopped=entry["stopped"],
        log_likelihood=entry["log_likelihood"],
        prompt=prompt.prompt,
        system=prompt.system,
        category=prompt.category,
        origin=prompt.origin,
        turns=prompt.turns,
    )
