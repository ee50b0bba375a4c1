"""Configuration of a search; plain dataclasses."""

from dataclasses import dataclass, field
from typing import Annotated

from polylect.base import (
    Count,
    CountOrZero,
    Finite,
    InputError,
    Positive,
    Range,
    Seed,
    check_known,
    check_settings,
)

_KINDS = ("mean", "min", "weighted", "constrained")
_USERS = {"weights": "weighted", "bounds": "constrained"}
"""The kind of fitness that takes a setting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AspectsConfig:
    """Which scores of a candidate count, and how they are averaged into aspects.

    Attributes:
        by: ``task`` (a task's mean over its languages) or ``language`` (its mean over tasks).
        groups: aspects by name, each with the tasks or languages that it is the mean of; empty:
            every task or language is an aspect.
        metrics: the metric that counts, by task; a task that is not listed has only one.
        lower: metrics where lower is better.
    """

    by: str = "task"
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    lower: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.by not in {"task", "language"}:
            raise InputError(f"--by is {self.by!r}", "choose task or language")


@dataclass(frozen=True, kw_only=True, slots=True)
class FitnessConfig:
    """How a candidate's aspects become one number.

    Attributes:
        kind: ``mean`` (the macro-average), ``min`` (the worst aspect), ``weighted``, or
            ``constrained`` (``maximize`` one aspect subject to ``bounds`` on others).
        weights: by aspect, for ``weighted``; an aspect that is not listed has weight 0.
        maximize: the aspect, for ``constrained``; empty: the macro-average.
        bounds: by aspect, for ``constrained``: least value, or greatest where lower is better; in
            the metric's unit.
        scale: scale every aspect first: 0 is the worst single checkpoint, 1 the best. Bounds stay
            in the metric's unit.
    """

    kind: str = "mean"
    weights: dict[str, Finite] = field(default_factory=dict)
    maximize: str = ""
    bounds: dict[str, Finite] = field(default_factory=dict)
    scale: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        check_known(self.kind, _KINDS, f"unknown fitness {self.kind!r}", "choose from")
        if self.kind == "weighted" and not any(self.weights.values()):
            raise InputError("fitness: weighted, and no weights", "--fitness-weights ASPECT=NUMBER")
        if self.kind == "constrained" and not self.bounds:
            raise InputError("fitness: constrained, and no bounds", "--bounds ASPECT=NUMBER")
        for name, values in (("weights", self.weights), ("bounds", self.bounds)):
            if values and self.kind != _USERS[name]:
                raise InputError(
                    f"fitness: {self.kind} takes no {name}",
                    "leave them out, or --fitness " + _USERS[name],
                )
        if self.maximize and self.kind != "constrained":
            raise InputError(
                f"fitness: {self.kind} maximizes no single aspect",
                "--fitness constrained, and --bounds ASPECT=NUMBER",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CmaConfig:
    """CMA-ES.

    Attributes:
        num_evaluations: candidates to evaluate; rounded up to whole generations.
        sigma: first step size; None: the weight map's default.
        population: candidates per generation; None: 4 + 3 ln(models).
        seed: seed of the draws.
    """

    num_evaluations: Count = 600
    sigma: Positive | None = None
    population: Annotated[int, Range(2)] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoConfig:
    """NSGA-II.

    Attributes:
        num_evaluations: candidates to evaluate; rounded up to whole generations.
        population: candidates per generation.
        seed: seed of the draws.
    """

    num_evaluations: CountOrZero = 400
    population: Annotated[int, Range(4)] = 20
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class SurrogateConfig:
    """Search on a surrogate of the scores, whose proposals are then evaluated.

    Attributes:
        num_rounds: how often the surrogate is fitted, searched and checked.
        batch: candidates evaluated per round.
        seed: seed of the draws.
    """

    num_rounds: CountOrZero = 5
    batch: Count = 4
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
