"""Documents, battles, judgments and grades: frozen dataclasses with one Arrow schema each."""

import enum
from dataclasses import dataclass
from typing import Any

from polylect.base import InputError, canonical_tag


class Verdict(enum.StrEnum):
    """Outcome of a comparison. INVALID (unparseable, abstained) is never averaged."""

    A = "A"
    B = "B"
    TIE = "TIE"
    BOTH_BAD = "BOTH_BAD"
    INVALID = "INVALID"

    def swapped(self) -> "Verdict":
        """The verdict when the two sides change places."""
        return {Verdict.A: Verdict.B, Verdict.B: Verdict.A}.get(self, self)


class Split(enum.StrEnum):
    """Which side of the split a document is on."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def check_names(row: Any, *names: str) -> None:
    """Refuse a row with an empty name, or with a count below 0.

    Args:
        row: may have ``sample`` and ``num_tokens``.
        names: of its columns that must not be empty.

    Raises:
        InputError: names the column.
    """
    for name in names:
        if not getattr(row, name).strip():
            raise InputError(f"{name!r} is empty", "fill it in, or remove the row")
    for name in ("sample", "num_tokens"):
        if (getattr(row, name, None) or 0) < 0:
            raise InputError(f"{name!r} is {getattr(row, name)}", "give 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A piece of text in one language.

    Attributes:
        id: unique within its source and language.
        language: tag.
        source: name of the source.
        text: never empty.
        parallel: what it shares with its translations; a split keeps these together. Empty: none.
        license: of the source, as it states it.
    """

    id: str
    language: str
    source: str
    text: str
    parallel: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        if not self.text.strip():
            raise InputError("'text' is empty", "remove the row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Battle:
    """Two models met on a prompt; ``count`` equal votes."""

    model_a: str
    model_b: str
    verdict: Verdict
    count: int = 1
    language: str = ""
    category: str = ""
    voter: str = ""
    prompt: str = ""

    def __post_init__(self) -> None:
        if self.language:
            object.__setattr__(self, "language", canonical_tag(self.language))
        if self.model_a == self.model_b:
            raise InputError(f"{self.model_a!r} battles itself", "remove the row")
        if self.count < 1:
            raise InputError(f"'count' is {self.count}", "counts are 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """A judge's verdict on two answers to one prompt; the judge is a model or a person.

    Attributes:
        id: the prompt's; equal in all languages for translations of one prompt.
        language: the prompt's.
        model_a, model_b: the models that answered. A verdict refers to these, whatever the order
            in which the judge was shown the answers.
        verdict: the verdict.
        judge: name of the judge.
        swapped: the answer of ``model_b`` was shown first.
        reason: the judge's text, or why a server gave none.
        prompt_digest: digest of what the judge was shown; may be empty.
        sample: which pair of answers to the prompt.
        strong: the judge found the difference significant.
        abstained: the judge gave no text; the verdict is INVALID then.
        category: the prompt's.
        origin: how the prompt's text was made, e.g. ``native`` or ``translated``.
        log_odds: of ``model_b`` over ``model_a`` in nats if the verdict comes from
            log-probabilities, else None.
    """

    id: str
    language: str
    model_a: str
    model_b: str
    verdict: Verdict
    judge: str
    swapped: bool
    reason: str = ""
    prompt_digest: str = ""
    sample: int = 0
    strong: bool = False
    abstained: bool = False
    category: str = ""
    origin: str = ""
    log_odds: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        check_names(self, "id", "model_a", "model_b", "judge")
        if self.model_a == self.model_b:
            raise InputError(f"{self.model_a!r} is judged against itself", "give it another name")
        if self.abstained and self.verdict is not Verdict.INVALID:
            raise InputError(f"abstained, but the verdict is {self.verdict}", "make it INVALID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A judge's score of one answer by a rubric; the judge is a model or a person.

    Attributes:
        id: the prompt's; equal in all languages for translations of one prompt.
        language: the prompt's.
        model: the model that answered.
        judge: name of the judge.
        score: on the rubric's scale; None is INVALID: not readable, or off the scale.
        sample: which answer to the prompt.
        rubric: name and version of the rubric; empty if unknown.
        reason: the judge's text, or why a server gave none.
        prompt_digest: digest of what the judge was shown; may be empty.
        category: the prompt's.
        origin: how the prompt's text was made.
    """

    id: str
    language: str
    model: str
    judge: str
    score: float | None = None
    sample: int = 0
    rubric: str = ""
    reason: str = ""
    prompt_digest: str = ""
    category: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical_tag(self.language))
        check_names(self, "id", "model", "judge")
