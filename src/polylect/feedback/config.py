"""Configuration of feedback; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from polylect.base import Count, NamesFunction, NonNegative, Range, Seed, Threads, check_settings
from polylect.text import DEFAULT_IDENTIFIER

if TYPE_CHECKING:
    from polylect.runs import Files


@dataclass(frozen=True, kw_only=True)
class AnswersConfig:
    """A model's answers to prompts, scored.

    Attributes:
        name: of the model in the scores.
        max_new_tokens: longest answer.
        sampling_temperature: 0 takes the most likely token.
        default_language: of prompts that name none.
        template: as for ``ExamplesConfig``.
        special_tokens: as for ``ExamplesConfig``.
        seed: of the samples.
        threads: as for ``ExamplesConfig``.
        memory_mib: as for ``OnlineConfig``.
        identifier: as for ``ExamplesConfig``.
    """

    name: str = "model"
    max_new_tokens: Count = 128
    sampling_temperature: NonNegative = 0.0
    default_language: str = ""
    template: str = "own"
    special_tokens: Literal["spell", "parse"] = "spell"
    seed: Seed = 0
    threads: Threads = 1
    memory_mib: Count = 2048
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, Files]":
        """The chat template's file, if it is one."""
        from polylect.text import template_input

        return template_input(self.template)


@dataclass(frozen=True, kw_only=True)
class RankedConfig:
    """Preferences from scored samples: the best answer over the worst (Command A, section 4).

    Attributes:
        drop: share of each language's prompts to leave out: those with the lowest mean reward.
    """

    drop: Annotated[float, Range(0, below=1)] = 0.2

    def __post_init__(self) -> None:
        check_settings(self)
