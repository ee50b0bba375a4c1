"""What a search of merge weights is told; plain dataclasses."""

from dataclasses import dataclass, field

from polylect.base import InputError, did_you_mean

KINDS = ("mean", "min", "weighted", "constrained")
"""How aspects become one number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AspectsConfig:
    """Which scores of a candidate count, and how they are put together before any trade-off.

    Attributes:
        by: ``task`` (a task's mean over its languages) or ``language`` (its mean over tasks).
        groups: names of aspects, each with the tasks or languages that it is the mean of; empty
            makes an aspect of every one.
        metrics: the metric that counts, by task; of a task that is not named, its only one.
        lower: metrics of which less is better.
    """

    by: str = "task"
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    lower: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.by not in {"task", "language"}:
            raise InputError(f"aspects by {self.by!r}", "choose task or language")


@dataclass(frozen=True, kw_only=True, slots=True)
class FitnessConfig:
    """One number out of a candidate's aspects.

    Attributes:
        kind: ``mean`` (the macro-average), ``min`` (the worst aspect), ``weighted``, or
            ``constrained`` (``maximize`` one aspect while the others keep their ``bounds``).
        weights: of aspects, for ``weighted``; those not named count 0.
        maximize: the aspect, for ``constrained``; empty is the macro-average.
        bounds: for ``constrained``: least value of an aspect, or the most where less is better; in
            the metric's own unit.
        scale: put every aspect on the pool's own range first: 0 is the worst single checkpoint, 1
            the best. Bounds stay in the metric's unit.
    """

    kind: str = "mean"
    weights: dict[str, float] = field(default_factory=dict)
    maximize: str = ""
    bounds: dict[str, float] = field(default_factory=dict)
    scale: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = did_you_mean(self.kind, KINDS) or f"choose from {', '.join(KINDS)}"
            raise InputError(f"unknown fitness {self.kind!r}", hint)
        if self.kind == "weighted" and not any(self.weights.values()):
            raise InputError("fitness: weighted, and no weights", "give the aspects' weights")
        if self.kind == "constrained" and not self.bounds:
            raise InputError("fitness: constrained, and no bounds", "give an aspect's bound")
        for name, given in (("weights", self.weights), ("bounds", self.bounds)):
            if given and self.kind != {"weights": "weighted", "bounds": "constrained"}[name]:
                raise InputError(f"fitness: {self.kind} takes no {name}", "leave them out")
        if self.maximize and self.kind != "constrained":
            raise InputError(f"fitness: {self.kind} maximizes no single aspect",
                             "choose constrained, and give bounds")  # fmt: skip


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

    def __post_init__(self) -> None:
        if self.population is not None and self.population < 2:
            raise InputError(f"a population of {self.population}", "give 2 or more")
        if self.num_evaluations < 1:
            raise InputError(f"{self.num_evaluations} evaluations", "give 1 or more")


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

    def __post_init__(self) -> None:
        if self.population < 4:
            raise InputError(f"a population of {self.population}", "give 4 or more")


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

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"a batch of {self.batch}", "give 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolsConfig:
    """The search again on parts of the pool.

    Attributes:
        sizes: checkpoints of a part; those of the whole pool or more are left out.
        num_draws: parts of each size.
        num_evaluations: candidates that CMA-ES may ask for in each part.
        sigma: its first step size; None is the weight map's own.
        seed: of the draws.
    """

    sizes: tuple[int, ...] = (2, 4, 8)
    num_draws: int = 2
    num_evaluations: int = 40
    sigma: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_draws < 0 or self.num_evaluations < 1:
            raise InputError(
                f"pools: {self.num_draws} draws of {self.num_evaluations} evaluations",
                "give 0 draws or more, and 1 evaluation or more",
            )
