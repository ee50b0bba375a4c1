"""Configurations of pairwise judging and of grading; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from polylect.base import Count, NonNegative, Seed, check_settings
from polylect.engine import EngineConfig

if TYPE_CHECKING:
    from polylect.runs import Files


@dataclass(frozen=True, kw_only=True)
class JudgingConfig:
    """How judges are asked; everything here decides what they answer.

    Attributes:
        judges: names of the judges in the rows, in the order of the inputs.
        languages: tags; empty for all.
        limit: only the first pairs or answers of each language; None for all.
        max_new_tokens: longest answer of a judge; None takes the protocol's.
        temperature: sampling temperature of the judge.
        seed: seed of its sampling.
        template: how the question is written for a local judge, as in ``GenerateConfig``.
        engine: how a local judge is run.
    """

    judges: tuple[str, ...]
    languages: tuple[str, ...] = ()
    limit: Count | None = None
    max_new_tokens: Count | None = None
    temperature: NonNegative = 0.0
    seed: Seed = 0
    template: str = "own"
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, Files]":
        """The chat template's file, if it is one."""
        from polylect.text import template_input

        return template_input(self.template, continues=True)


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(JudgingConfig):
    """How pairs of answers are judged.

    Attributes:
        preset: name of the protocol and its version.
    """

    preset: str


@dataclass(frozen=True, kw_only=True)
class GradeConfig(JudgingConfig):
    """How single answers are graded.

    Attributes:
        rubric: name and version, or the digest of a file.
        models: names of the graded models in the rows, in the order of the inputs.
        verdict: ``text`` or ``logprob``.
    """

    rubric: str
    models: tuple[str, ...]
    verdict: Literal["text", "logprob"] = "text"
