"""What a search of merge weights is told; plain dataclasses."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class AspectsConfig:
    """Which scores of a candidate count, and how they are put together before any trade-off.

    Attributes:
        by: ``task`` (a task's mean over its languages) or ``language`` (its mean over tasks).
        groups: names of aspects, each with the tasks or languages that it is the mean of; empty
            makes an aspect of every one.
        metrics: metrics that count; empty where every task has a single one.
        lower: metrics of which less is better.
    """

    by: str = "task"
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FitnessConfig:
    """One number out of a candidate's aspects.

    Attributes:
        kind: ``mean`` (the macro-average), ``min`` (the worst aspect), ``weighted``, or
            ``constrained`` (``maximise`` one aspect while the others keep their ``bounds``).
        weights: of aspects, for ``weighted``; those not named count 0.
        maximise: the aspect, for ``constrained``; empty is the macro-average.
        bounds: for ``constrained``: least value of an aspect, or the most where less is better; in
            the metric's own unit.
        scale: put every aspect on the pool's own range first: 0 is the worst single checkpoint, 1
            the best. Bounds stay in the metric's unit.
    """

    kind: str = "mean"
    weights: dict[str, float] = field(default_factory=dict)
    maximise: str = ""
    bounds: dict[str, float] = field(default_factory=dict)
    scale: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CmaConfig:
    """CMA-ES.

    Attributes:
        num_evaluations: candidates to ask for, at most; whole generations.
        sigma: first step size; None is the weight map's own.
        population: candidates of a generation; None is 4 + 3 ln(models).
        seed: of the draws.
    """

    num_evaluations: int = 600
    sigma: float | None = None
    population: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoConfig:
    """NSGA-II.

    Attributes:
        num_evaluations: candidates to ask for, at most; whole generations.
        population: candidates of a generation.
        seed: of the draws.
    """

    num_evaluations: int = 400
    population: int = 20
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SurrogateConfig:
    """Search on a model of the scores, whose proposals are then evaluated.

    Attributes:
        num_rounds: how often the model is fitted, searched and verified.
        batch: candidates verified in a round.
        seed: of the draws.
    """

    num_rounds: int = 5
    batch: int = 4
    seed: int = 0
