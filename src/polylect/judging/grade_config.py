"""Configuration of grading; never imports torch."""

from dataclasses import dataclass, field

from polylect.engine import EngineConfig


@dataclass(frozen=True, kw_only=True)
class GradeConfig:
    """How answers are graded; all of it decides what the scores are.

    Attributes:
        rubric: name and version, or the digest of a file.
        judges: what the rows call the judges, in the order of the inputs.
        models: what the rows call the graded models, in the order of the inputs.
        verdict: ``text`` or ``logprob``.
        languages: tags; empty for all.
        limit: only the first answers of each language; None for all.
        max_new_tokens: longest answer of a judge; None is the rubric's.
        temperature: of the judge.
        seed: of its draws.
        template: how the question is written for a local judge, as in ``GenerateConfig``.
        engine: how a local judge is run.
    """

    rubric: str
    judges: tuple[str, ...]
    models: tuple[str, ...]
    verdict: str = "text"
    languages: tuple[str, ...] = ()
    limit: int | None = None
    max_new_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0
    template: str = "own"
    engine: EngineConfig = field(default_factory=EngineConfig)
