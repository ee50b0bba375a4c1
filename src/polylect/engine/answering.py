"""Answers of a local checkpoint or a server to prompts; a killed run resumes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine.config import GenerateConfig
from polylect.engine.journal import Journal, no_answer
from polylect.engine.sampling import EMPTY, LENGTH
from polylect.engine.server import Server
from polylect.rows import Generated, Prompt
from polylect.runs import Reporter
from polylect.text import (
    ALTERED,
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
REJECTED = "refused: the chat template does not take the prompt"
DECLINED = "refused: the model declined to answer, which is kept as its answer"
FAILED = "failed: the request failed with all its retries"
UNSAID = "ended: whether the answer is whole is not said"
FILTERED = "withheld: the server's filter"
_COUNTED = {
    "length": LENGTH, "refused": REFUSED, "declined": DECLINED, "failed": FAILED,
    "filter": FILTERED, "other": UNSAID,
}  # fmt: skip
_KIND = re.compile(r"\w*")
"""The beginning of a reason that says its kind: a status, or the name of an error."""


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
        InputError: the model cannot be used, a prompt does not fit, or the template takes none.
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
        count_outcomes(journal, prompts, model, ledger)
    return answers


def count_outcomes(
    journal: Journal, prompts: Sequence[Prompt], model: Path | Server, ledger: Ledger
) -> None:
    """Count fallbacks, empty answers and those that are none, with the first words about each kind.

    Args:
        journal: the answers.
        prompts: that were answered.
        model: a checkpoint's folder, or a server.
        ledger: gets the counts.
    """
    counted = _COUNTED if isinstance(model, Server) else _COUNTED | {"refused": REJECTED}
    first: dict[tuple[str, str], str] = {}
    for (number, _), row in sorted(journal.rows.items()):
        language = prompts[number].language
        for event in row.get("fallbacks", ()):
            ledger.count(event, 1, language)
        ledger.count(EMPTY, int(not row["text"].strip()), language)
        if row["stopped"] in counted:
            event, why = counted[row["stopped"]], row.get("why", "")
            words = first.setdefault((event, (_KIND.match(why) or [""])[0]), why)
            ledger.count(f'{event}; the first: "{words}"' if words else event, 1, language)


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


def count_rejected(reasons: Mapping[int, str], prompts: Sequence[Prompt], ledger: Ledger) -> None:
    """Count the prompts that the chat template does not take, with the first reason.

    Args:
        reasons: by the prompt's number, of ``prompt_tokens``.
        prompts: all of them.
        ledger: gets the counts.
    """
    first = next(iter(reasons.values()), "")
    for number in reasons:
        ledger.count(f'{REJECTED}; the first: "{first}"', 1, prompts[number].language)


def prompt_tokens(
    style: Style | Continued, prompts: Sequence[Prompt], ledger: Ledger
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """The tokens of every prompt that the template writes, and why it does not write the others.

    Args:
        style: renders messages.
        prompts: rows.
        ledger: counts prompts that spell special tokens.

    Returns:
        Ids (int32) by the prompt's number, in order; and reasons by number.

    Raises:
        InputError: the template can write none of them; names the first.
    """
    encoded: dict[int, np.ndarray] = {}
    refused: dict[int, InputError] = {}
    for number, prompt in enumerate(prompts):
        try:
            encoded[number] = style.prompt(prompt.messages)
        except InputError as error:
            refused[number] = error
            continue
        ledger.count(ALTERED, style.num_altered(prompt.messages), prompt.language)
        has_special = spells_special(style.tokenizer, prompt.messages)
        count_special(int(has_special), style.special_tokens, ledger, prompt.language)
    if refused and not encoded:
        number, error = next(iter(refused.items()))
        prompt = prompts[number]
        name = prompt.place or f"prompt {prompt.id!r} ({prompt.language})"
        others = f" (nor the other {len(refused) - 1:,})" if len(refused) > 1 else ""
        raise InputError(f"{name}: {error.message}{others}", error.hint)
    of_template = f"{style.place}: "
    return encoded, {
        number: error.message.removeprefix(of_template) for number, error in refused.items()
    }


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
    encoded, refused = prompt_tokens(style, prompts, ledger)
    num_samples = config.sampling.num_samples
    for number, why in refused.items():
        for sample in range(num_samples):
            if (number, sample) not in journal.rows:
                journal.add(number, sample, **no_answer("refused", why))
    # Random numbers follow the id: a sample depends on neither order nor neighbors.
    fitted = engine.fit(
        [
            TokenPrompt(
                ids, f"{prompts[number].language}/{prompts[number].id}", prompts[number].language
            )
            for number, ids in encoded.items()
        ],
        config.sampling,
        ledger,
    )
    requests = dict(zip(encoded, fitted, strict=True))
    missing = journal.missing(len(prompts), num_samples)
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
        why=entry.get("why", ""),
    )
