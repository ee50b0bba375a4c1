"""Translation by a model that follows instructions: on a server, or a local causal checkpoint."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, described, digest_of
from polylect.engine import (
    GenerateConfig,
    Journal,
    Sampling,
    Server,
    answer_prompts,
    ask_server,
    count_outcomes,
)
from polylect.feedback.translation.protocol import Pair, Traits
from polylect.rows import Prompt
from polylect.runs import Files, Reporter

INSTRUCTION = (
    "Translate the text below from {source} to {target}. Keep marks such as [[1]] exactly as they"
    " are, and all of the text's layout. Answer with the translation alone.\n\n{text}"
)
"""What is asked by default; the languages are written by their English names (CLDR)."""
UNFINISHED = "not translated: the answer did not end"
_FIELD = re.compile(r"\{(source|target|text)\}")


@dataclass(frozen=True)
class InstructedSource:
    """A model that is asked to translate.

    Attributes:
        name: as the user named it.
        model: a checkpoint's folder, or a server.
        instruction: the prompt, with ``{source}``, ``{target}`` and ``{text}``.
        config: sampling and engine.
    """

    name: str
    model: Path | Server
    instruction: str
    config: GenerateConfig

    traits = Traits()

    def __post_init__(self) -> None:
        """Check the instruction.

        Raises:
            InputError: it has no place for the text or for the language.
        """
        fields = {match[1] for match in _FIELD.finditer(self.instruction)}
        for field in ("text", "target"):
            if field not in fields:
                raise InputError(
                    f"--instruction has no {{{field}}}",
                    "give all of {source}, {target} and {text}, or leave it out",
                )

    @property
    def digest(self) -> str:
        """Digest of the model, the instruction and the sampling."""
        model = self.model if isinstance(self.model, Server) else Files(self.model)
        settings = {"instruction": self.instruction, "config": self.config}
        return digest_of({"model": model.digest, **settings})

    def pairs(self) -> None:
        """It does not say what it can translate."""
        return

    def limited(self, pairs: Iterable[Pair]) -> "InstructedSource":
        """The same."""
        return self

    def open(self, work: Path, report: Reporter, ledger: Ledger) -> "Instructed":
        """The translator; its limits of spending hold for all of its calls together."""
        return Instructed(self, work, report, ledger)


@dataclass(frozen=True)
class Instructed:
    """The translator."""

    source: InstructedSource
    work: Path
    report: Reporter
    ledger: Ledger

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translations; see ``Translator``.

        Raises:
            PolylectError: a server keeps failing, or its limit is reached.
        """
        prompts = [
            Prompt(
                id=digest_of([text, source])[:16],
                language=target,
                prompt=filled(self.source.instruction, text, source, target),
            )
            for text in texts
        ]
        key = digest_of([[prompt.prompt for prompt in prompts], source, target])[:16]
        return self._answers(prompts, key, target)

    def _answers(self, prompts: Sequence[Prompt], key: str, target: str) -> list[str | None]:
        if isinstance(self.source.model, Server):
            # One folder for all calls: what was spent counts in all of them.
            with Journal(self.work / f"{key}.jsonl") as journal:
                server = self.source.model
                ask_server(prompts, server, self.source.config, journal, self.work, self.report)
                count_outcomes(journal, prompts, server, self.ledger)
                answers = [(journal.rows[i, 0]["text"], journal.rows[i, 0]["stopped"])
                           for i in range(len(prompts))]  # fmt: skip
        else:
            folder = self.work / key
            folder.mkdir(parents=True, exist_ok=True)
            rows = answer_prompts(
                prompts, self.source.model, self.source.config, folder, self.report, self.ledger
            )
            answers = [(row.answer, row.stopped) for row in rows]
        ended = [text.strip() if stopped in ("end", "stop") else "" for text, stopped in answers]
        self.ledger.count(UNFINISHED, sum(not text for text in ended), target)
        return [text or None for text in ended]


def filled(instruction: str, text: str, source: str, target: str) -> str:
    """The prompt for a text.

    >>> filled("{source} to {target}: {text}", "I like {text}", "en", "pt-BR")
    'English to Portuguese (Brazil): I like {text}'
    """
    values = {"source": described(source).name, "target": described(target).name, "text": text}
    return _FIELD.sub(lambda match: values[match[1]], instruction)


def instructed(
    name: str, model: Path | Server, instruction: str, max_new_tokens: int = 1024, **config: Any
) -> InstructedSource:
    """A model that is asked to translate, with the most likely tokens.

    Args:
        name: as the user named it.
        model: a checkpoint's folder, or a server.
        instruction: the prompt; empty for the default.
        max_new_tokens: longest translation of a piece of text.
        config: ``template`` and ``engine``.
    """
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=0.0)
    settings = GenerateConfig(name=name, sampling=sampling, **config)
    return InstructedSource(name, model, instruction or INSTRUCTION, settings)
