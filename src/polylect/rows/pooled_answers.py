"""Answers of many teachers to the same prompts, each with where it comes from."""

import json
from dataclasses import dataclass, field
from typing import Any

from polylect.base import InputError, canonical_tag, check_known
from polylect.rows.columns import SPARSE
from polylect.rows.conversations import STOPPED, Conversation, Generated, Message, Prompt
from polylect.rows.types import check_names

ANSWER_ORIGINS = ("native", "translated", "post-edited", "")
"""How an answer's text was made: written in its language, translated into it, or a translation that
a person mended; empty where nobody says."""
AnswerKey = tuple[str, str, str, int]
"""Language, id, teacher and sample: what names an answer within a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledAnswer:
    """One answer of one teacher to a prompt, with the prompt and the answer's origin beside it.

    Attributes:
        id: the prompt's.
        language: tag of the language in which the answer is wanted.
        teacher: who answered, as the pool names it.
        sample: which of the teacher's answers to the prompt, from 0.
        answer: its text; may be empty.
        num_tokens: of the answer, as the teacher counts them; None if unknown.
        stopped: how it ended, as for ``Generated``.
        log_likelihood: of the answer under the teacher in nats, if known.
        prompt: the user's last message.
        system: the system message.
        category: the prompt's.
        origin: how the prompt's text was made.
        turns: as for ``Prompt``.
        why: of an answer that is none, the first words of the server or the chat template.
        model_digest: of the checkpoint, server or file that gave the answer.
        sampling: a JSON object as text: temperature, top_p, max_new_tokens, seed … of a generated
            answer; empty for a stored one.
        license: of the teacher's answers, as it states it; empty: not stated.
        terms: what its terms say on training with its answers, as it states them; may be empty.
        answer_origin: how the answer's text was made, one of ``ANSWER_ORIGINS``.
        translator: who translated it; empty for none.
        source_language: tag of the language that it was translated from; empty for none.
        source_text: what was translated.
        source_sample: which of the teacher's answers in the source language was translated.
        identified: tag of the language that the answer is in, as an identifier says; empty where it
            does not decide. It never changes ``language``.
    """

    id: str
    language: str
    teacher: str
    answer: str
    sample: int = 0
    num_tokens: int | None = None
    stopped: str = "end"
    log_likelihood: float | None = None
    prompt: str = ""
    system: str = ""
    category: str = ""
    origin: str = ""
    turns: tuple[Message, ...] = field(default=(), metadata=SPARSE)
    why: str = field(default="", metadata=SPARSE)
    model_digest: str = ""
    sampling: str = ""
    license: str = ""
    terms: str = ""
    answer_origin: str = ""
    translator: str = ""
    source_language: str = ""
    source_text: str = ""
    source_sample: int | None = None
    identified: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        for name in ("source_language", "identified"):
            if getattr(self, name):
                object.__setattr__(self, name, canonical_tag(getattr(self, name)))
        check_names(self, "id", "teacher")
        check_known(self.stopped, STOPPED, f"'stopped' is {self.stopped!r}", "use one of")
        check_known(
            self.answer_origin,
            ANSWER_ORIGINS,
            f"'answer_origin' is {self.answer_origin!r}",
            "leave it empty, or use one of",
        )
        if self.answer_origin == "translated" and not self.source_language:
            raise InputError("a translated answer without 'source_language'", "say from which")
        if self.sampling and not _is_object(self.sampling):
            raise InputError(
                f"'sampling' is {self.sampling[:40]!r}", 'give a JSON object: {"temperature": 0.7}'
            )

    @property
    def key(self) -> AnswerKey:
        """Language, id, teacher and sample."""
        return (self.language, self.id, self.teacher, self.sample)

    @property
    def asked(self) -> Prompt:
        """The prompt.

        Raises:
            InputError: the row keeps none.
        """
        return Prompt(
            id=self.id, language=self.language, prompt=self.prompt, system=self.system,
            category=self.category, origin=self.origin, turns=self.turns,
        )  # fmt: skip

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to the answer."""
        return self.asked.messages

    @property
    def generated(self) -> Generated:
        """The answer as judges and the measures of language confusion read it."""
        return Generated(
            id=self.id, language=self.language, sample=self.sample, model=self.teacher,
            answer=self.answer, num_tokens=self.num_tokens, stopped=self.stopped,
            log_likelihood=self.log_likelihood, prompt=self.prompt, system=self.system,
            category=self.category, origin=self.origin, turns=self.turns, why=self.why,
        )  # fmt: skip

    @property
    def conversation(self) -> Conversation:
        """Prompt and answer as fine-tuning reads them; the teacher is its source."""
        return Conversation(
            id=self.id, language=self.language, source=self.teacher,
            messages=(*self.messages, Message("assistant", self.answer)),
        )  # fmt: skip

    @classmethod
    def of(cls, row: Generated, **more: Any) -> "PooledAnswer":
        """The pooled answer of a generated one; its model is the teacher unless ``more`` says."""
        kept: dict[str, Any] = {
            "id": row.id, "language": row.language, "teacher": row.model, "sample": row.sample,
            "answer": row.answer, "num_tokens": row.num_tokens, "stopped": row.stopped,
            "log_likelihood": row.log_likelihood, "prompt": row.prompt, "system": row.system,
            "category": row.category, "origin": row.origin, "turns": row.turns, "why": row.why,
        }  # fmt: skip
        return cls(**kept | more)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
