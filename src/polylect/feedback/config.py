"""Configuration of feedback; never imports torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AnswersConfig:
    """A model's answers to prompts, scored.

    Attributes:
        name: of the model in the scores.
        max_new_tokens: longest answer.
        sampling_temperature: 0 takes the most likely token.
        default_language: of prompts that name none.
        template: as for ``ExamplesConfig``.
        seed: of the samples.
        threads: as for ``ExamplesConfig``.
        memory_mib: as for ``OnlineConfig``.
    """

    name: str = "model"
    max_new_tokens: int = 128
    sampling_temperature: float = 0.0
    default_language: str = ""
    template: str = "own"
    seed: int = 0
    threads: int = 1
    memory_mib: int = 2048


@dataclass(frozen=True, kw_only=True)
class RankedConfig:
    """Preferences from scored samples: the best answer over the worst (Command A, section 4).

    Attributes:
        drop: share of each language's prompts to leave out: those with the lowest mean reward.
    """

    drop: float = 0.2
