"""Configuration of judging; never imports torch."""

from dataclasses import dataclass, field

from polylect.engine import EngineConfig


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How answers are judged; all of it decides what the verdicts are.

    Attributes:
        preset: name of the protocol and its version.
        judges: what the rows call the judges, in the order of the inputs.
        languages: tags; empty for all.
        limit: only the first pairs of each language; None for all.
        max_new_tokens: longest answer of a judge; None is the preset's.
        temperature: of the judge.
        seed: of its draws.
        template: how the question is written for a local judge, as in ``GenerateConfig``.
        engine: how a local judge is run.
    """

    preset: str
    judges: tuple[str, ...]
    languages: tuple[str, ...] = ()
    limit: int | None = None
    max_new_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0
    template: str = "own"
    engine: EngineConfig = field(default_factory=EngineConfig)
